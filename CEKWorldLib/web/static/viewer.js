// What Vue's templates cannot do: keyboard, playback and files. Trame's client is window.trame once the page is connected.
(() => {
  const toggles = { " ": "playing", s: "subtracted", m: "projected" };
  const tools = { b: "brush", e: "erase", r: "box" };

  function flip(name) {
    window.trame.state.set(name, !window.trame.state.get(name));
  }

  function moveTo(time) {
    const state = window.trame.state;
    state.set("playing", false);
    state.set("time_s", Math.min(Math.max(time, state.get("first_s")), state.get("last_s")));
  }

  function step(forward) {
    const now = window.trame.state.get("time_s");
    const times = window.trame.state.get("times_s");
    const found = forward ? times.find((t) => t > now + 0.001) : times.findLast((t) => t < now - 0.001);
    moveTo(found ?? now);
  }

  function act(event) {
    const state = window.trame.state;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const hasTimes = state.get("times_s").length > 1; // without them the slider stands still
    if (key === "ArrowLeft" || key === "ArrowRight") {
      if (!hasTimes) return false;
      const forward = key === "ArrowRight";
      if (event.shiftKey) step(forward);
      else moveTo(state.get("time_s") + (forward ? 1 : -1));
    } else if (key in toggles) {
      if (state.get("title") && (key === "m" || hasTimes)) flip(toggles[key]);
    } else if (key in tools) {
      state.set("tool", state.get("tool") === tools[key] ? "none" : tools[key]);
    } else if (key === "Escape") {
      state.set("tool", "none");
    } else if (key === "f") {
      window.trame.trigger("fit");
    } else {
      return false;
    }
    return true;
  }

  // Who went to a control with the keyboard means that control, who clicked it still means the series.
  const ranges = "input[type=range]:not(.time-slider)";
  const controls = { " ": "button, [role=button]", ArrowLeft: ranges, ArrowRight: ranges };

  function isFor(target, key) {
    return key in controls && target.matches(controls[key]) && target.matches(":focus-visible");
  }

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=range]), textarea")
      || document.querySelector(".v-overlay--active .v-list"); // a menu that is open takes keys, and Esc closes it
    if (!window.trame || typing || isFor(event.target, event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (act(event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  }, true);

  // Playback follows the clock, so that a busy machine shows fewer images and not a slower bolus.
  let began = null;
  setInterval(() => {
    const state = window.trame && window.trame.state;
    if (!state || !state.get("playing")) {
      began = null;
      return;
    }
    const [first, last, now, speed] = ["first_s", "last_s", "time_s", "speed"].map((name) => state.get(name));
    if (!began || began.speed !== speed) {
      began = { clock: performance.now(), time: now > last - 0.001 ? first : now, speed };
    }
    const time = began.time + (speed * (performance.now() - began.clock)) / 1000;
    if (time < last) {
      state.set("time_s", Math.round(10 * time) / 10);
    } else if (state.get("loop")) {
      began = null;
      state.set("time_s", first);
    } else {
      moveTo(last);
    }
  }, 50);

  // Trame does not mend a connection that broke, as over a laptop's sleep: the page is loaded again once somebody
  // answers. That also tells of a session that ended while nobody looked, as over lunch, instead of staying still.
  let seconds = 0;
  setInterval(async () => {
    const isLost = Boolean(window.trame?.state.get("trame_error_report_msg"));
    if (++seconds % (isLost ? 2 : 20)) return;
    const answer = await fetch("ready").catch(() => null);
    if (answer && (answer.status === 404 || (isLost && answer.status < 500))) window.location.reload();
  }, 1000);

  function send(files) {
    const form = new FormData();
    for (const file of files) form.append("file", file, file.webkitRelativePath || file.name);
    const request = new XMLHttpRequest();
    const show = (percent) => window.trame.state.set("upload_percent", percent);
    request.upload.onprogress = (event) => show(event.lengthComputable ? (100 * event.loaded) / event.total : 100);
    const fail = (text) => window.trame.state.set("error", text);
    request.onloadend = () => {
      show(-1);
      if (request.status > 400) { // with 400 the session has told the page why
        fail(`The viewer did not take the files (HTTP ${request.status}); reload the page and try again.`);
      }
    };
    request.onerror = () => fail("The files did not arrive; check the connection and try again.");
    request.open("POST", "files/upload");
    show(0);
    request.send(form);
  }

  document.addEventListener("change", (event) => {
    if (!event.target.matches("input.upload") || !event.target.files.length) return;
    send([...event.target.files]);
    event.target.value = "";
  });
})();

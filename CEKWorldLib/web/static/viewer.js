// What Vue's templates cannot do: keyboard and files. Trame's client is window.trame once the page is connected.
(() => {
  const toggles = { " ": "playing", s: "subtracted", m: "projected" };
  const tools = { b: "brush", e: "erase", r: "box" };

  function flip(name) {
    window.trame.state.set(name, !window.trame.state.get(name));
  }

  function act(event) {
    const state = window.trame.state;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key === "ArrowLeft" || key === "ArrowRight") {
      const forward = key === "ArrowRight";
      state.set("playing", false);
      window.trame.trigger("key", [event.shiftKey ? (forward ? "next" : "previous") : forward ? "forward" : "back"]);
    } else if (key in toggles) {
      if (state.get("title") && (key === "m" || state.get("times_s").length > 1)) flip(toggles[key]);
    } else if (key in tools) {
      state.set("tool", state.get("tool") === tools[key] ? "none" : tools[key]);
    } else if (key === "Escape") {
      state.set("tool", "none");
    } else if (key === "f") {
      window.trame.trigger("key", ["fit"]);
    } else {
      return false;
    }
    return true;
  }

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=range]), textarea, [role=listbox]");
    if (!window.trame || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (act(event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  }, true);

  // A session that ended while nobody looked, as over lunch, says so instead of staying still.
  setInterval(async () => {
    const answer = await fetch("ready").catch(() => null);
    if (answer && answer.status === 404) window.location.reload();
  }, 20000);

  function send(files) {
    const form = new FormData();
    for (const file of files) form.append("file", file, file.webkitRelativePath || file.name);
    const request = new XMLHttpRequest();
    const show = (percent) => window.trame.state.set("upload_percent", percent);
    request.upload.onprogress = (event) => show(event.lengthComputable ? (100 * event.loaded) / event.total : 100);
    request.onloadend = () => show(-1);
    request.onerror = () => window.trame.state.set("error", "The files did not arrive; check the connection and try again.");
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

// Draws the views' pictures on their canvases, and tells the session of each, as it draws the next ones no sooner; and
// tells it the slider's time.
(() => {
  const address = new URL("pictures", window.location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const latest = {};
  let socket = null;

  // "view time serial\n" and a JPEG.
  function parse(message) {
    const end = message.indexOf(10);
    const [view, time, serial] = new TextDecoder().decode(message.subarray(0, end)).split(" ");
    return { view, time, serial: Number(serial), jpeg: message.subarray(end + 1) };
  }

  function tell(what, value) {
    if (socket.readyState === WebSocket.OPEN) socket.send(`${what} ${value}`);
  }

  function tellTime() {
    const time = window.trame?.state.get("time_s");
    if (time !== undefined) tell("time", time);
  }

  async function show({ view, time, serial, jpeg }) {
    const picture = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" })).catch(() => null);
    const canvas = document.querySelector(`canvas[data-view="${view}"]`);
    // A picture may be decoded sooner than the one before it.
    if (picture && canvas && serial > (latest[view] ?? 0)) {
      latest[view] = serial;
      if (canvas.width !== picture.width) canvas.width = picture.width;
      if (canvas.height !== picture.height) canvas.height = picture.height;
      canvas.getContext("bitmaprenderer").transferFromImageBitmap(picture);
      canvas.dataset.time = time;
      canvas.dispatchEvent(new CustomEvent("picture"));
    }
    tell("shown", serial);
  }

  function listen() {
    socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => show(parse(new Uint8Array(data)));
    socket.onopen = tellTime; // what it missed while it was closed
    socket.onclose = () => setTimeout(listen, 1000);
  }

  listen();
  const waiting = setInterval(() => {
    if (!window.trame?.state.get("times_s")) return;
    clearInterval(waiting);
    window.trame.state.watch(["time_s"], tellTime);
  }, 10);
})();

// Draws the views' pictures on their canvases, and tells the session of each: it draws the next ones no sooner.
(() => {
  const latest = {};

  async function show(session, { name, meta, content }) {
    const picture = await createImageBitmap(new Blob([content], { type: meta.type })).catch(() => null);
    const canvas = document.querySelector(`canvas[data-view="${name}"]`);
    // A picture may be decoded sooner than the one before it.
    if (picture && canvas && meta.serial > (latest[name] ?? 0)) {
      latest[name] = meta.serial;
      if (canvas.width !== picture.width) canvas.width = picture.width;
      if (canvas.height !== picture.height) canvas.height = picture.height;
      canvas.getContext("bitmaprenderer").transferFromImageBitmap(picture);
      canvas.dataset.drawn = meta.serial;
      canvas.dispatchEvent(new CustomEvent("picture"));
    }
    session.call("cekworld.picture.shown", [meta.serial]);
  }

  function listen() {
    const session = window.trame.client.getConnection().getSession();
    session.subscribe("trame.rca.topic.stream", ([picture]) => show(session, picture));
  }

  const waiting = setInterval(() => {
    if (!window.trame?.addConnectListener) return;
    clearInterval(waiting);
    window.trame.addConnectListener(listen);
  }, 10);
})();

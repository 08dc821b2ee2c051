// Tells from the pixels on screen which time a view shows, of a series whose middle brightens evenly with time.
(() => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pixel = canvas.getContext("2d", { willReadFrequently: true });
  const picture = () => document.querySelector(".layout-grid-item img");
  const slider = () => document.querySelector(".time-slider");
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));

  function grey() {
    const image = picture();
    pixel.drawImage(image, image.naturalWidth / 2 - 2, image.naturalHeight / 2 - 2, 4, 4, 0, 0, 1, 1);
    return pixel.getImageData(0, 0, 1, 1).data[0];
  }

  function move(time) {
    slider().value = time;
    slider().dispatchEvent(new Event("input", { bubbles: true }));
  }

  // Calls back with every picture's grey and when it was there, until told to stop.
  function watch(seen) {
    let last = "";
    let on = true;
    const look = () => {
      if (!on) return;
      const image = picture();
      if (image.src !== last && image.complete && image.naturalWidth) {
        last = image.src;
        seen(grey(), performance.now());
      }
      setTimeout(look, 1);
    };
    look();
    return () => { on = false; };
  }

  // The grey of a time, once its picture has come and stays.
  async function settle(time) {
    move(time);
    while (window.trame.state.get("shown_s") !== time) await pause(20);
    let last = "";
    while (picture().src !== last) {
      last = picture().src;
      await pause(2000);
    }
    return grey();
  }

  window.bench = {
    async calibrate(first, last) {
      this.dark = await settle(first);
      this.bright = await settle(last);
      this.first = first;
      this.last = last;
      return [this.dark, this.bright];
    },
    shown(value) {
      return this.first + ((value - this.dark) / (this.bright - this.dark)) * (this.last - this.first);
    },
    time() {
      return this.shown(grey());
    },
    // Milliseconds from a move to its pixels.
    single(time, tolerance, patience) {
      return new Promise((done) => {
        const begun = performance.now();
        const stop = watch((value, now) => {
          if (Math.abs(this.shown(value) - time) <= tolerance) { stop(); done(now - begun); }
        });
        setTimeout(() => { stop(); done(null); }, patience);
        move(time);
      });
    },
    // Moves evenly through all times; gives [time shown, milliseconds since the slider was there] of every picture,
    // and how long after the last move the last time was on screen.
    async drag(moves, interval, tolerance, patience) {
      await settle(this.first);
      const sent = [];
      const pictures = [];
      const stop = watch((value, now) => pictures.push([this.shown(value), now]));
      for (let n = 0; n < moves; n += 1) {
        const time = this.first + ((this.last - this.first) * n) / (moves - 1);
        sent.push([time, performance.now()]);
        move(time);
        await pause(interval);
      }
      const released = sent[moves - 1][1];
      while (performance.now() - released < patience && Math.abs(this.time() - this.last) > tolerance) await pause(2);
      const settled = performance.now() - released;
      stop();
      const lags = pictures.map(([time, now]) => {
        const origin = sent.reduce((best, one) => (Math.abs(one[0] - time) < Math.abs(best[0] - time) ? one : best));
        return [time, now - origin[1]];
      });
      return { lags, settled, seconds: (performance.now() - sent[0][1]) / 1000 };
    },
  };
})();

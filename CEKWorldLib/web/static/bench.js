// Tells from the pixels on screen which time a view shows, of a series whose middle brightens evenly with time.
(() => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pixel = canvas.getContext("2d", { willReadFrequently: true });
  const picture = () => document.querySelector(".layout-grid-item canvas");
  const slider = () => document.querySelector(".time-slider");
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));

  function grey() {
    const image = picture();
    pixel.drawImage(image, image.width / 2 - 2, image.height / 2 - 2, 4, 4, 0, 0, 1, 1);
    return pixel.getImageData(0, 0, 1, 1).data[0];
  }

  function move(time) {
    slider().value = time;
    slider().dispatchEvent(new Event("input", { bubbles: true }));
  }

  // Calls back with every picture's grey and when it was on screen, until told to stop: a task after the next frame
  // begins when the browser has painted that.
  function watch(seen) {
    const canvas = picture();
    const look = () => {
      const value = grey();
      requestAnimationFrame(() => setTimeout(() => seen(value, performance.now())));
    };
    canvas.addEventListener("picture", look);
    return () => canvas.removeEventListener("picture", look);
  }

  // The grey of a time, once its picture has come and stays.
  async function settle(time) {
    let pictures = 0;
    const stop = watch(() => { pictures += 1; });
    move(time);
    while (Number(picture().dataset.time) !== time) await pause(20);
    let last = -1;
    while (pictures !== last) {
      last = pictures;
      await pause(2000);
    }
    stop();
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
      let last = this.first;
      let lastAt = 0;
      const stop = watch((value, now) => {
        last = this.shown(value);
        lastAt = now;
        pictures.push([last, now]);
      });
      for (let n = 0; n < moves; n += 1) {
        const time = this.first + ((this.last - this.first) * n) / (moves - 1);
        sent.push([time, performance.now()]);
        move(time);
        await pause(interval);
      }
      const released = sent[moves - 1][1];
      const arrived = () => Math.abs(last - this.last) <= tolerance;
      while (performance.now() - released < patience && !arrived()) await pause(2);
      const settled = arrived() ? Math.max(lastAt - released, 0) : Infinity;
      stop();
      const lags = pictures.map(([time, now]) => {
        const origin = sent.reduce((best, one) => (Math.abs(one[0] - time) < Math.abs(best[0] - time) ? one : best));
        return [time, now - origin[1]];
      });
      return { lags, settled, seconds: (lastAt - sent[0][1]) / 1000 };
    },
  };
})();

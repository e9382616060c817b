/** The form, and the page's messages. */

const element = (id) => document.getElementById(id);

/** Emits "speak", "recording" (detail: a file), and "key" when an API key was entered. */
export class Controls extends EventTarget {
  constructor() {
    super();
    this.voices = [];
    this.choices();
    this.recordings();
    element("speech").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    element("text").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      element("speech").requestSubmit(element("speak"));
    });
  }

  submit() {
    // Until the voices are listed, only a key can be submitted.
    if (!this.voices.length) this.dispatchEvent(new Event("key"));
    else if (!element("text").value.trim()) this.problem("There is no text to speak.");
    else this.dispatchEvent(new Event("speak"));
  }

  choices() {
    const told = (id, say) => {
      const input = element(id);
      const tell = () => {
        element(`${id}-value`).textContent = say();
        input.setAttribute("aria-valuetext", say());
      };
      input.addEventListener("input", tell);
      tell();
    };
    told("speed", () => `× ${this.speed}`);
    told("pitch", () => {
      const semitones = element("pitch").valueAsNumber;
      return `${semitones > 0 ? "+" : ""}${semitones} semitones`.replace("-", "−");
    });
    element("voice").addEventListener("change", () => this.offerSpeakers());
    element("keep-seed").addEventListener("click", () => {
      element("seed").value = element("seed-used").textContent;
      element("keep-seed").hidden = true;
      element("seed").focus();
    });
  }

  recordings() {
    const take = (file) => {
      if (file && this.voice) this.dispatchEvent(new CustomEvent("recording", { detail: file }));
    };
    element("file").addEventListener("change", ({ target }) => {
      take(target.files[0]);
      target.value = ""; // allows the same file to be chosen again
    });
    const over = (is) => document.body.classList.toggle("dragging", is);
    window.addEventListener("dragover", (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      over(true);
    });
    window.addEventListener("dragleave", ({ relatedTarget }) => relatedTarget ?? over(false));
    window.addEventListener("drop", (event) => {
      over(false);
      if (!event.dataTransfer.files.length) return;
      event.preventDefault();
      take(event.dataTransfer.files[0]);
    });
  }

  /** The slider is linear in octaves; its middle is the normal speed. */
  get speed() {
    return (2 ** element("speed").valueAsNumber).toFixed(2);
  }

  get key() {
    return element("key").value.trim();
  }

  get voice() {
    return this.voices.find(({ id }) => id === element("voice").value);
  }

  wanted() {
    const query = {
      model: this.voice.id,
      speaker: element("speaker").value,
      seed: element("seed").value.trim(),
      speed: this.speed,
      pitch: element("pitch").value,
    };
    return { query, key: this.key };
  }

  offer(voices) {
    this.voices = voices;
    fill("voice", voices.map(({ id, name }) => [id, name]));
    this.offerSpeakers();
    if (!voices.length) this.problem("This server has no voices.");
  }

  offerSpeakers() {
    fill("speaker", (this.voice?.speakers ?? []).map((speaker) => [speaker, speaker]));
    const silent = !this.voice?.reads_text;
    element("speak").disabled = silent;
    this.status(silent ? "This voice cannot read text: give it a recording." : "");
  }

  /** Keep a random seed by writing it into the seed field. */
  used(seed) {
    const drawn = !element("seed").value.trim();
    element("keep-seed").hidden = !drawn;
    if (drawn) element("seed").placeholder = seed;
    else element("seed-used").textContent = element("seed").value.trim();
  }

  askForKey() {
    element("key-field").hidden = false;
    element("key").focus();
  }

  status(text) {
    element("status").textContent = text;
  }

  problem(text) {
    element("problem").hidden = !text;
    element("problem").textContent = text ?? "";
  }
}

function fill(id, choices) {
  const select = element(id);
  const before = select.value;
  select.replaceChildren(...choices.map(([value, text]) => new Option(text, value)));
  if (choices.some(([value]) => value === before)) select.value = before;
}

/** The text of the speech: appears sentence by sentence, with spoken words highlighted. */

export class Transcript {
  constructor(element, player) {
    this.element = element;
    this.player = player;
    this.show(null);
    player.addEventListener("change", () => this.follow());
  }

  show(track) {
    this.track = track;
    this.spans = [];
    this.said = 0; // number of words that have begun
    this.element.replaceChildren();
    this.element.hidden = true;
    track?.addEventListener("sentence", ({ detail }) => track === this.track && this.add(detail));
  }

  add({ text, words }) {
    this.element.hidden = false;
    let rest = text;
    for (const word of words) {
      const at = Math.max(0, rest.indexOf(word.text));
      const span = document.createElement("span");
      span.textContent = word.text;
      this.spans.push({ span, word });
      this.element.append(rest.slice(0, at), span);
      rest = rest.slice(at + word.text.length);
    }
    this.element.append(rest, " ");
  }

  follow() {
    if (this.following || this.player.track !== this.track || !this.track) return;
    this.following = true;
    this.mark(-1); // start over
    const step = () => {
      if (this.player.track !== this.track) {
        this.following = false;
        this.rest();
        return;
      }
      this.mark(this.player.position);
      requestAnimationFrame(step);
    };
    step();
  }

  mark(position) {
    while (this.said && this.spans[this.said - 1].word.start_s > position) {
      this.said -= 1;
      this.spans[this.said].span.className = "";
    }
    while (this.said < this.spans.length && this.spans[this.said].word.start_s <= position) {
      if (this.said) this.spans[this.said - 1].span.className = "said";
      this.spans[this.said].span.className = "said now";
      this.said += 1;
      this.reveal(this.spans[this.said - 1].span);
    }
    const last = this.spans[this.said - 1];
    if (last && last.word.end_s <= position) last.span.className = "said";
  }

  /** Scroll a long text to a word, without scrolling the page. */
  reveal({ offsetTop, offsetHeight }) {
    const { scrollTop, clientHeight } = this.element;
    if (offsetTop < scrollTop || offsetTop + offsetHeight > scrollTop + clientHeight) {
      this.element.scrollTop = offsetTop;
    }
  }

  /** Remove the highlight when nothing is playing. */
  rest() {
    if (this.said) this.spans[this.said - 1].span.className = "said";
  }
}

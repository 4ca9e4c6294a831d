// Pictures one after the other: the box around the head is drawn with the mouse, or taken as it was found.
export default {
  template: `
    <div class="sheet heads">
      <div class="bar keys">
        <span class="hand">drag a box around the head,</span>
        <button v-for="[key, word] in keys" :key="key" class="key" @click="press(key)"><kbd>{{ key }}</kbd> {{ word }}</button>
        <span class="said" role="status">{{ said }}</span>
      </div>
      <div v-if="!total" class="none">There is no picture yet.</div>
      <div v-else-if="one" class="stage">
        <div class="canvas" :style="{ aspectRatio: one.width + ' / ' + one.height, maxWidth: 'min(100%, ' + 66 * one.width / one.height + 'vh)' }"
          @pointerdown.prevent="down" @pointermove="move" @pointerup="up" @pointercancel="from = null">
          <img :src="'/large/' + one.sha256 + '.jpg'" :alt="one.name" :data-sha256="one.sha256" draggable="false">
          <div v-if="box" class="box" :class="{ person: mine }" :style="style"></div>
        </div>
        <div class="name">{{ at + 1 }} of {{ total }} · {{ one.name }} · {{ state }}</div>
      </div>
    </div>`,
  props: { total: { type: Number, default: 0 }, asker: String, revision: { type: Number, default: 0 } },
  data() { return { at: 0, rows: {}, box: null, mine: false, from: null, said: "", turn: Promise.resolve() }; },
  computed: {
    keys() { return [["Enter", "it is right: next"], ["n", "no head here"], ["←", "back"], ["→", "pass over"], ["z", "undo"]]; },
    one() { return this.rows[this.at]; },
    style() {
      const { left, top, right, bottom } = this.box, wide = this.one.width, high = this.one.height;
      return { left: 100 * left / wide + "%", top: 100 * top / high + "%", width: 100 * (right - left) / wide + "%", height: 100 * (bottom - top) / high + "%" };
    },
    state() {
      if (this.mine) return "yours";
      if (this.one.person) return this.one.box ? "yours" : "no head, as you said";
      return this.one.box ? "found, sure to " + Math.round(100 * this.one.score) + " %" : "not looked at yet";
    },
  },
  watch: {
    revision() { this.load(this.at, true); },
    total() { this.load(this.at, true); },
  },
  mounted() { window.addEventListener("keydown", this.key); this.go(0); },
  unmounted() { window.removeEventListener("keydown", this.key); },
  methods: {
    async load(at, afresh) {
      const start = Math.max(0, at - 5);
      if (!this.rows[at] || afresh) {
        const found = await (await fetch("/api/heads?start=" + start + "&count=20")).json();
        if (!Array.isArray(found)) return;
        const rows = {};
        found.forEach((row, i) => { rows[start + i] = row; });
        this.rows = rows;
      }
      if (at === this.at && !this.from && !this.mine) this.box = this.one && this.one.box;
    },
    async go(at) {
      if (at < 0 || at >= this.total) { this.said = at < 0 ? "this is the first" : "that was the last"; return; }
      this.at = at; this.mine = false; this.box = this.one ? this.one.box : null;
      await this.load(at);
      const next = this.rows[at + 1];
      if (next) new Image().src = "/large/" + next.sha256 + ".jpg";
    },
    spot(event) {
      const area = event.currentTarget.getBoundingClientRect(), { width, height } = this.one;
      const inside = (value, most) => Math.round(Math.min(Math.max(value, 0), 1) * most);
      return [inside((event.clientX - area.left) / area.width, width), inside((event.clientY - area.top) / area.height, height)];
    },
    down(event) { event.currentTarget.setPointerCapture(event.pointerId); this.from = this.spot(event); },
    move(event) {
      if (!this.from) return;
      const [x, y] = this.from, [a, b] = this.spot(event);
      this.box = { left: Math.min(x, a), top: Math.min(y, b), right: Math.max(x, a), bottom: Math.max(y, b) };
      this.mine = true;
    },
    up(event) {
      if (!this.from) return;
      this.move(event); this.from = null;
      if (this.box.right - this.box.left < 4 || this.box.bottom - this.box.top < 4) { this.mine = false; this.box = this.one.box; }
    },
    key(event) {
      if (event.target.closest("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
      const key = { ArrowLeft: "←", ArrowRight: "→" }[event.key] || event.key;
      if (this.press(key)) event.preventDefault();
    },
    press(key) {
      const acts = { Enter: () => this.box ? this.give(this.box) : this.said = "drag a box first, or press n", n: () => this.give(null),
        "←": () => this.go(this.at - 1), "→": () => this.go(this.at + 1), z: () => this.undo() };
      if (!this.one || !acts[key]) return false;
      this.turn = this.turn.then(acts[key]);  // what is pressed while an answer is under way waits for it
      return true;
    },
    async give(box) {
      const at = this.at, said = await this.send({ what: "box", axis: this.asker, hashes: [this.one.sha256], value: JSON.stringify(box) });
      if (!said) return;
      this.rows[at] = { ...this.rows[at], box, person: true };
      await this.go(at + 1);
    },
    async undo() {
      const hashes = await this.send({ what: "undo" });
      if (!hashes) return;
      if (!hashes.length) { this.said = "there is nothing left to undo"; return; }
      await this.load(this.at, true);
      const back = Object.entries(this.rows).find(([, row]) => hashes.includes(row.sha256));
      if (back) await this.go(+back[0]);
    },
    async send(body) {
      try {
        const answer = await fetch("/api/act", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
        const said = await answer.json();
        if (!answer.ok) throw new Error(said.error);
        this.said = said.said;
        return said.hashes;
      } catch (error) { this.said = String(error.message || error); return null; }
    },
  },
};

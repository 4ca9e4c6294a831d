// A grid of pictures of any number: only what is on the screen is there. Text from outside goes in as text alone.
export default {
  template: `
    <div class="sheet" :data-list="list" :style="{ '--cell': cell + 'px' }">
      <div class="bar" v-if="axis && classes.length" role="group" aria-label="Answer">
        <span class="head">{{ standing ? "Move to" : "It is" }}</span>
        <button v-for="(name, i) in classes" :key="name" class="chip" :data-class="name"
          :title="i < 9 ? 'key ' + (i + 1) : ''" @click="answer(name)"
          @dragover.prevent @drop.prevent="drop(name)"><kbd v-if="i < 9">{{ i + 1 }}</kbd> {{ name }}</button>
      </div>
      <div class="bar keys">
        <span class="hand"><kbd>←</kbd><kbd>→</kbd><kbd>↑</kbd><kbd>↓</kbd> move, with <kbd>⇧</kbd> select</span>
        <span class="hand" v-if="axis"><kbd>1</kbd>–<kbd>9</kbd> class</span>
        <button v-for="[key, word] in keys" :key="key" class="key" @click="back(); press(key)"><kbd>{{ key === " " ? "space" : key === "Enter" ? "↵" : key }}</kbd> {{ word }}</button>
        <span class="said" role="status">{{ said }}</span>
      </div>
      <div class="pane" ref="scroll" tabindex="0" @scroll.passive="look">
        <div v-if="!total" class="none">{{ none }}</div>
        <div :style="{ height: height + 'px', position: 'relative' }">
          <figure v-for="at in shown" :key="at" :data-at="at" :style="place(at)" :class="classesOf(at)"
            draggable="true" @dragstart="drag(at)" @click="click(at, $event)" @dblclick="large = at">
            <template v-if="row(at)">
              <div class="pictures">
                <img :src="'/small/' + row(at).sha256 + '.jpg'" :alt="row(at).name" draggable="false"
                  :class="{ mirrored: standing && row(at).turned }" @error="gone">
                <img v-if="both" :src="'/small/' + row(at).sha256 + '.jpg'" alt="as it stands" class="mirrored">
              </div>
              <b v-if="alike(at).length" class="alike" :title="alike(at).length + ' that look alike are answered with it'"
                >+{{ alike(at).length }}</b>
              <div v-if="at === focus && alike(at).length" class="alikes">
                <img v-for="one in alike(at).slice(0, 8)" :key="one" :src="'/small/' + one + '.jpg'" alt="">
              </div>
              <figcaption>
                <div v-if="axis && one(at)" class="answer">
                  <b :class="{ person: one(at).person, unsure: !one(at).sure }">{{ one(at).name }}</b>
                  <i v-if="one(at).person">yours</i><i v-else>{{ percent(one(at).score) }}</i>
                  <span v-if="one(at).second_score >= 0.005 && !one(at).person"> or {{ one(at).second }}
                    {{ percent(one(at).second_score) }}</span>
                </div>
                <div v-else-if="axis" class="answer"><span>no answer yet</span></div>
                <div v-else class="answer">{{ words(at) }}</div>
                <div class="name" :title="row(at).name">{{ row(at).name }}</div>
                <div v-if="why" class="why" :title="reasons(at)">{{ reasons(at) }}</div>
                <textarea v-if="captions" class="caption" :class="{ own: row(at).own_caption }" :value="row(at).caption"
                  :aria-label="'caption of ' + row(at).name" maxlength="2000" rows="3" spellcheck="false" @keydown.stop
                  @keydown.enter.prevent="$event.target.blur()" @change="caption(at, $event)"></textarea>
              </figcaption>
            </template>
          </figure>
        </div>
      </div>
      <div v-if="large !== null && row(large)" class="large" @click="large = null">
        <img :src="'/large/' + row(large).sha256 + '.jpg'" :alt="row(large).name"
          :class="{ mirrored: standing && row(large).turned }">
        <p>{{ row(large).name }} · {{ row(large).width }}×{{ row(large).height }} · {{ words(large) }}<br>{{ row(large).caption }}</p>
      </div>
    </div>`,
  props: {
    list: String, total: Number, axis: String, classes: { type: Array, default: () => [] }, cell: { type: Number, default: 190 },
    standing: Boolean, both: Boolean, captions: Boolean, turns: Boolean, why: Boolean,
    none: { type: String, default: "Nothing here." }, revision: { type: Number, default: 0 },
  },
  data() {
    return { columns: 1, width: 0, shown: [], blocks: {}, focus: 0, chosen: [], anchor: 0, done: {}, said: "", large: null, dragged: [], undoing: false, pressed: [] };
  },
  computed: {
    // Of wide frames as they come, with two lines below; taller pictures are shown whole, with a margin at their sides.
    tall() {
      const step = this.width ? this.width / this.columns : this.cell;
      return Math.round((step - 24) * (this.both ? 0.29 : 0.58)) + 62 + (this.captions ? 62 : 0) + (this.why ? 34 : 0);
    },
    keys() {
      return [[" ", "accept", this.axis], ["z", "undo", true], ["f", "turn", this.turns], ["x", "drop", true],
              ["k", "keep", true], ["Enter", "large", true], ["/", "search", true]].filter((one) => one[2]);
    },
    height() { return Math.ceil(this.total / this.columns) * this.tall; },
  },
  watch: {
    list() { this.reset(); }, total() { this.look(); }, cell() { this.measure(); },
    revision() { this.refresh(); },
  },
  mounted() {
    this.watcher = new ResizeObserver(() => this.measure());
    this.watcher.observe(this.$refs.scroll);
    window.addEventListener("keydown", this.key);
    this.back();
    this.measure();
  },
  unmounted() { this.watcher.disconnect(); window.removeEventListener("keydown", this.key); },
  methods: {
    reset() { this.blocks = {}; this.focus = 0; this.chosen = []; this.done = {}; this.large = null; this.$refs.scroll.scrollTop = 0; this.look(); },
    measure() {
      this.width = this.$refs.scroll.clientWidth;
      this.columns = Math.max(1, Math.floor(this.width / (Math.min(this.cell, this.width) + 10)));
      this.look();
    },
    look() {
      const top = this.$refs.scroll.scrollTop, high = this.$refs.scroll.clientHeight || 600;
      const first = Math.max(0, (Math.floor(top / this.tall) - 2) * this.columns);
      const last = Math.min(this.total, (Math.ceil((top + high) / this.tall) + 3) * this.columns);
      this.shown = Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i);
      for (let at = first - (first % 60); at < last; at += 60) this.load(at / 60);
    },
    async load(block) {
      if (this.blocks[block] || !this.list) return;
      const list = this.list;
      this.blocks[block] = [];
      try {
        const answer = await fetch(`/api/rows?list=${list}&start=${block * 60}&count=60&standing=${this.standing ? 1 : 0}`);
        if (!answer.ok) throw new Error(await answer.text());
        const rows = await answer.json();
        if (list === this.list) this.blocks[block] = rows;
      } catch (error) { delete this.blocks[block]; this.said = String(error.message || error); }
    },
    async refresh() {
      const list = this.list, blocks = new Set(this.shown.map((at) => Math.floor(at / 60)));
      for (const block of Object.keys(this.blocks)) if (!blocks.has(Number(block))) delete this.blocks[block];
      for (const block of blocks) {
        const answer = await fetch(`/api/rows?list=${list}&start=${block * 60}&count=60&standing=${this.standing ? 1 : 0}`);
        if (answer.ok && list === this.list) this.blocks[block] = await answer.json();
      }
    },
    row(at) { return (this.blocks[Math.floor(at / 60)] || [])[at % 60]; },
    alike(at) { return this.row(at).alike || []; },
    one(at) { return this.row(at)?.answers[this.axis]; },
    words(at) { return Object.values(this.row(at).answers).map((one) => one.name).join(", "); },
    reasons(at) {
      const all = this.row(at).doubts, mine = all.filter((one) => one.startsWith(this.axis + ":"));
      return this.row(at).left_out || (this.axis ? mine : all).join("; ");
    },
    percent(share) { return Math.round(100 * share) + " %"; },
    gone(event) { event.target.classList.add("missing"); },
    place(at) {
      const step = this.width / this.columns;
      return { left: (at % this.columns) * step + "px", top: Math.floor(at / this.columns) * this.tall + "px",
               width: step - 10 + "px", height: this.tall - 10 + "px" };
    },
    classesOf(at) { return { focus: at === this.focus, chosen: this.chosen.includes(at), done: this.done[at] }; },
    click(at, event) {
      if (event.target.tagName === "TEXTAREA") return;
      if (event.shiftKey) this.select(this.anchor, at);
      else if (event.ctrlKey || event.metaKey) this.chosen = this.chosen.includes(at) ? this.chosen.filter((one) => one !== at) : [...this.chosen, at];
      else { this.chosen = []; this.anchor = at; }
      this.focus = at;
      this.back();
    },
    select(from, to) {
      const [first, last] = from < to ? [from, to] : [to, from];
      this.chosen = Array.from({ length: last - first + 1 }, (_, i) => first + i);
    },
    picked() { return this.chosen.length ? this.chosen : [this.focus]; },
    drag(at) { this.dragged = this.chosen.includes(at) ? [...this.chosen] : [at]; },
    drop(name) { const places = this.dragged; this.dragged = []; if (places.length) this.act("answer", places, name); },
    move(by, selecting) {
      const to = Math.min(this.total - 1, Math.max(0, this.focus + by));
      if (selecting) this.select(this.anchor, to); else { this.chosen = []; this.anchor = to; }
      this.focus = to;
      this.reveal(to);
    },
    reveal(at) {
      const box = this.$refs.scroll, top = Math.floor(at / this.columns) * this.tall;
      if (top < box.scrollTop) box.scrollTop = top;
      else if (top + this.tall > box.scrollTop + box.clientHeight) box.scrollTop = top + this.tall - box.clientHeight;
      this.look();
    },
    next() {
      let at = Math.max(...this.picked());
      do at += 1; while (at < this.total && this.done[at]);
      if (at >= this.total) at = this.focus;
      this.chosen = []; this.focus = this.anchor = Math.min(at, Math.max(0, this.total - 1));
      this.reveal(this.focus);
    },
    key(event) {
      if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (document.querySelector(".q-dialog")) return;
      if (event.target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter")) return;
      if (this.press(event.key, event.shiftKey)) event.preventDefault();
    },
    press(key, isShifted) {
      // Until it is known which picture an undo has come back to, no key can know which one it is meant for.
      if (this.undoing) { this.pressed.push([key, isShifted]); return true; }
      const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns };
      const digit = /^[1-9]$/.test(key) ? Number(key) : 0;
      if (key in steps) this.move(steps[key], isShifted);
      else if (key === "Home") this.move(-this.total);
      else if (key === "End") this.move(this.total);
      else if (digit && this.axis && digit <= this.classes.length) this.answer(this.classes[digit - 1]);
      else if (key === " " && this.axis) this.accept();
      else if (key === "z") this.undo();
      else if (key === "f" && this.turns) this.act("turn", this.picked(), "");
      else if (key === "x") this.act("drop", this.picked(), "");
      else if (key === "k") this.act("keep", this.picked(), "");
      else if (key === "Enter") this.large = this.large === null ? this.focus : null;
      else if (key === "Escape") { this.large = null; this.chosen = []; }
      else if (key === "/") document.querySelector(".search input")?.focus();
      else return false;
      return true;
    },
    back() { this.$refs.scroll.focus({ preventScroll: true }); },
    answer(name) { this.back(); this.act("answer", this.picked(), name); },
    accept() {
      const by = {};
      for (const at of this.picked()) { const name = this.one(at)?.name; if (name) (by[name] ||= []).push(at); }
      if (!Object.keys(by).length) { this.said = "there is no answer yet to accept"; return; }
      const places = Object.entries(by);
      places.forEach(([name, some], i) => this.act("answer", some, name, i + 1 < places.length));
    },
    caption(at, event) { this.act("caption", [at], event.target.value, true); },
    async act(what, places, value, stay) {
      const rows = places.filter((at) => this.row(at)), list = this.list;
      if (!rows.length) return;
      for (const at of rows) {
        const one = this.row(at);
        if (what === "answer") one.answers[this.axis] = { ...(one.answers[this.axis] || {}), name: value, score: 1, person: true, sure: true };
        if (what !== "caption") this.done[at] = what;
      }
      if (!stay) this.next();
      await this.send({ what, axis: this.axis || "", value, hashes: rows.map((at) => this.row(at).sha256), standing: !!this.standing, list },
        () => rows.forEach((at) => delete this.done[at]));
    },
    async undo() {
      this.undoing = true;
      try { await this.takeBack(); } finally { this.undoing = false; }
      while (this.pressed.length && !this.undoing) this.press(...this.pressed.shift());
    },
    async takeBack() {
      const hashes = await this.send({ what: "undo" });
      if (!hashes) return;
      if (!hashes.length) { this.said = "there is nothing left to undo"; return; }
      await this.refresh();
      for (const at of Object.keys(this.done)) if (hashes.includes(this.row(Number(at))?.sha256)) delete this.done[at];
      const back = this.shown.find((at) => hashes.includes(this.row(at)?.sha256));
      if (back !== undefined) { this.focus = this.anchor = back; this.chosen = []; this.reveal(back); }
    },
    async send(body, failed) {
      try {
        const answer = await fetch("/api/act", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
        const said = await answer.json();
        if (!answer.ok) throw new Error(said.error);
        this.said = said.said;
        this.take(said.rows);
        this.$emit("acted");
        return said.hashes;
      } catch (error) { this.said = String(error.message || error); if (failed) failed(); return null; }
    },
    take(rows) {
      const by = Object.fromEntries(rows.map((one) => [one.sha256, one]));
      for (const block of Object.values(this.blocks))
        block.forEach((one, i) => { if (by[one.sha256]) block[i] = { ...by[one.sha256], alike: one.alike }; });
    },
  },
};

// Groups of pictures that are copies of each other, a row each: only what is on the screen is there.
export default {
  template: `
    <div class="sheet groups" :data-found="found">
      <div class="bar keys">
        <span class="hand"><kbd>↑</kbd><kbd>↓</kbd> group, <kbd>←</kbd><kbd>→</kbd> picture</span>
        <button v-for="[key, word] in keys" :key="key" class="key" @click="back(); press(key)"><kbd>{{ key === " " ? "space" : key === "Enter" ? "↵" : key }}</kbd> {{ word }}</button>
        <span class="said" role="status">{{ said }}</span>
      </div>
      <div class="pane" ref="scroll" tabindex="0" @scroll.passive="look">
        <div v-if="!total" class="none">{{ none }}</div>
        <div :style="{ height: total * tall + 'px', position: 'relative' }">
          <section v-for="at in shown" :key="at" :data-at="at" class="group" :class="{ focus: at === focus, done: isDone(at) }"
            :style="{ top: at * tall + 'px', height: tall - 10 + 'px' }">
            <figure v-for="(one, i) in pictures(at)" :key="one.sha256" :data-sha256="one.sha256"
              :class="{ focus: at === focus && i === chosen, out: one.left_out }" @click="click(at, i)" @dblclick="large = one">
              <div class="pictures"><img :src="'/small/' + one.sha256 + '.jpg'" :alt="one.name" draggable="false" @error="gone"></div>
              <figcaption>
                <div class="answer"><b :class="{ person: one.state }">{{ one.state || (one.is_kept ? "kept" : one.how) }}</b>
                  <span>{{ one.width }}×{{ one.height }}</span></div>
                <div class="name" :title="one.name">{{ one.name }}</div>
                <div class="name">{{ one.stays ? "stays: " + one.stays : one.why || "the best" }}</div>
              </figcaption>
            </figure>
          </section>
        </div>
      </div>
      <div v-if="large" class="large" @click="large = null">
        <img :src="'/large/' + large.sha256 + '.jpg'" :alt="large.name">
        <p>{{ large.name }} · {{ large.width }}×{{ large.height }} · {{ large.folder || large.left_out }}</p>
      </div>
    </div>`,
  props: { found: Number, total: Number, none: { type: String, default: "" }, revision: { type: Number, default: 0 } },
  data() { return { tall: 220, shown: [], blocks: {}, focus: 0, chosen: 0, said: "", large: null, busy: false, pressed: [] }; },
  computed: {
    keys() { return [[" ", "keep this one only", true], ["a", "keep all", true], ["z", "undo", true], ["Enter", "large", true]]; },
  },
  watch: {
    found() { this.blocks = {}; this.focus = this.chosen = 0; this.$refs.scroll.scrollTop = 0; this.look(); },
    total() { this.look(); },
    revision() { this.refresh(); },
  },
  mounted() {
    this.watcher = new ResizeObserver(() => this.look());
    this.watcher.observe(this.$refs.scroll);
    window.addEventListener("keydown", this.key);
    this.back();
    this.look();
  },
  unmounted() { this.watcher.disconnect(); window.removeEventListener("keydown", this.key); },
  methods: {
    look() {
      const top = this.$refs.scroll.scrollTop, high = this.$refs.scroll.clientHeight || 600;
      const first = Math.max(0, Math.floor(top / this.tall) - 2), last = Math.min(this.total, Math.ceil((top + high) / this.tall) + 2);
      this.shown = Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i);
      for (let block = Math.floor(first / 30); block * 30 < last; block++) if (!this.blocks[block]) this.load(block);
    },
    async load(block) {
      const found = this.found, before = this.blocks[block];
      this.blocks[block] = before || [];
      try {
        const answer = await fetch(`/api/groups?start=${block * 30}&count=30`);
        const rows = await answer.json();
        if (!answer.ok) throw new Error(rows.error);
        if (found === this.found) this.blocks[block] = rows;
      } catch (error) { if (!before) delete this.blocks[block]; this.said = String(error.message || error); }
    },
    async refresh() {
      const seen = new Set(this.shown.map((at) => Math.floor(at / 30)));
      for (const block of Object.keys(this.blocks)) if (!seen.has(Number(block))) delete this.blocks[block];
      await Promise.all([...seen].map((block) => this.load(block)));
    },
    pictures(at) { return (this.blocks[Math.floor(at / 30)] || [])[at % 30] || []; },
    isDone(at) { return this.pictures(at).some((one) => one.state); },
    gone(event) { event.target.classList.add("missing"); },
    click(at, i) { this.focus = at; this.chosen = i; this.back(); },
    back() { this.$refs.scroll.focus({ preventScroll: true }); },
    go(at) {
      this.focus = Math.min(this.total - 1, Math.max(0, at));
      this.chosen = 0;
      const box = this.$refs.scroll, top = this.focus * this.tall;
      if (top < box.scrollTop) box.scrollTop = top;
      else if (top + this.tall > box.scrollTop + box.clientHeight) box.scrollTop = top + this.tall - box.clientHeight;
      this.look();
    },
    turn(by) {
      this.chosen = Math.min(this.pictures(this.focus).length - 1, Math.max(0, this.chosen + by));
      this.$nextTick(() => this.$el.querySelector("figure.focus")?.scrollIntoView({ block: "nearest", inline: "nearest" }));
    },
    key(event) {
      if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (document.querySelector(".q-dialog")) return;
      if (event.target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter")) return;
      if (this.press(event.key)) event.preventDefault();
    },
    press(key) {
      // Until an answer has come back nobody knows which group is the next: keys wait for it.
      if (this.busy) { this.pressed.push(key); return true; }
      const one = this.pictures(this.focus)[this.chosen];
      if (key === "ArrowUp") this.go(this.focus - 1);
      else if (key === "ArrowDown") this.go(this.focus + 1);
      else if (key === "ArrowLeft") this.turn(-1);
      else if (key === "ArrowRight") this.turn(1);
      else if (key === "Home") this.go(0);
      else if (key === "End") this.go(this.total - 1);
      else if (key === " ") this.act("best");
      else if (key === "a") this.act("all");
      else if (key === "z") this.undo();
      else if (key === "Enter") this.large = this.large ? null : one;
      else if (key === "Escape") this.large = null;
      else return false;
      return true;
    },
    async act(what) {
      const group = this.pictures(this.focus), one = group[this.chosen], at = this.focus;
      if (!one) return;
      const hashes = [one, ...group.filter((other) => other !== one)].map((other) => other.sha256);
      this.busy = true;
      const said = await this.send({ what, hashes });
      if (said && this.focus === at) this.go(at + 1);
      this.catchUp();
    },
    catchUp() {
      this.busy = false;
      while (this.pressed.length && !this.busy) this.press(this.pressed.shift());
    },
    async undo() {
      this.busy = true;
      await this.takeBack();
      this.catchUp();
    },
    async takeBack() {
      const hashes = await this.send({ what: "undo" });
      if (!hashes) return;
      if (!hashes.length) { this.said = "there is nothing left to undo"; return; }
      const back = Object.entries(this.blocks).flatMap(([block, groups]) => groups.map((group, i) => [block * 30 + i, group]))
        .find(([, group]) => group.some((one) => hashes.includes(one.sha256)));
      if (back) this.go(back[0]);
    },
    async send(body) {
      try {
        const answer = await fetch("/api/act", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
        const said = await answer.json();
        if (!answer.ok) throw new Error(said.error);
        await this.refresh();
        this.said = said.said;
        return said.hashes;
      } catch (error) { this.said = String(error.message || error); return null; }
    },
  },
};

// Shows the galleries of a page: filters, search, order, pages of cards, enlarged images with boxes.
// The data comes from models and data sets. It reaches the page as text (textContent) and as numbers only.
(() => {
  "use strict";
  // taken from the prototype: an element named "createElement" would otherwise stand in its place
  const create = Document.prototype.createElement.bind(document);
  const select = Document.prototype.querySelector.bind(document);
  const data = JSON.parse(select("script#gallery-data").textContent);
  const perPage = data.first;

  function element(name, className, text) {
    const made = create(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // A word of a command, quoted where a shell would read it otherwise; as shlex.quote of Python.
  const shellWord = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : "'" + word.replaceAll("'", "'\"'\"'") + "'");

  // Thumbnails are lists: base64, width, height, why it is missing, boxes.
  const sources = data.images.map((image) => (image[0] ? "data:image/webp;base64," + image[0] : ""));
  const shown = data.galleries.filter((gallery) => select("section#" + gallery.id));
  for (const gallery of shown) {
    const section = select("section#" + gallery.id);
    // the images of the first cards are in the page already
    for (const image of section.querySelectorAll("img[data-image]")) {
      sources[Number(image.getAttribute("data-image"))] = image.src;
    }
  }

  const boxesOf = (place) => (data.images[place] && data.images[place][4]) || [];

  function drawBoxes(frame, place) {
    for (const [name, x1, y1, x2, y2] of boxesOf(place)) {
      const box = element("span", "box");
      box.style.left = 100 * x1 + "%";
      box.style.top = 100 * y1 + "%";
      box.style.width = 100 * (x2 - x1) + "%";
      box.style.height = 100 * (y2 - y1) + "%";
      box.append(element("span", "", name));
      frame.append(box);
    }
  }

  // The image in a frame of its own shape, so that boxes lie where they belong.
  function framed(place, alt, boxes) {
    const [, width, height] = data.images[place];
    const frame = element("span", "frame");
    const image = element("img");
    image.src = sources[place];
    image.alt = alt;
    image.width = width;
    image.height = height;
    frame.append(image);
    if (boxes) drawBoxes(frame, place);
    return frame;
  }

  function optionList(options) {
    const list = element("ul", "options");
    for (const [text, mark, look] of options) {
      const item = element("li", look === "right" || look === "wrong" ? look : "", text);
      if (mark) item.append(" ", element("b", "mark", mark));
      list.append(item);
    }
    return list;
  }

  function longText(text) {
    const code = element("pre", "", text);
    code.tabIndex = 0;
    return code;
  }

  function start(gallery) {
    const section = select("section#" + gallery.id);
    const cards = gallery.cards;
    const state = { words: [], chosen: gallery.filters.map(() => ""), order: "", page: 0, boxes: false };
    let found = cards.map((_, place) => place);
    let texts = null; // what is searched, made when somebody searches

    function searched(card) {
      const parts = [card.id, card.fault, card.question_type, card.question, card.text, ...(card.notes || []),
        ...(card.options || []).map((option) => option[0]), ...(card.folded || []).map((place) => gallery.lines[place])];
      return parts.join("\n").toLowerCase().replaceAll("_", " ");
    }

    function pictureOf([place, alt]) {
      const image = data.images[place];
      if (!image || !sources[place]) return element("div", "no-image", (image && image[3]) || "no image");
      const button = element("button", "zoom");
      button.type = "button";
      button.title = "enlarge";
      button.append(framed(place, alt, state.boxes));
      button.addEventListener("click", () => enlarge(place, alt));
      return button;
    }

    function figures(className, pictures) {
      const row = element("div", className);
      for (const picture of pictures) {
        const figure = element("figure");
        figure.append(pictureOf(picture), element("figcaption", "", picture[2] || ""));
        row.append(figure);
      }
      return row;
    }

    function cardOf(card) {
      const made = element("article", "card");
      if (card.fault) {
        const line = element("p");
        line.append(element("b", "wrong", "✗ " + card.fault));
        made.append(line);
      }
      if (card.picture) made.append(pictureOf(card.picture));
      if (card.pair) made.append(figures("pair", card.pair));
      if (card.near) {
        made.append(element("p", "why", "Most similar in the pool, with cosine:"), figures("strip", card.near));
      }
      if (card.question_type) made.append(element("span", "kind", card.question_type.replaceAll("_", " ")));
      if (card.question) made.append(element("p", "question", card.question));
      if (card.options) made.append(optionList(card.options));
      for (const note of card.notes || []) made.append(element("p", "why", note));
      if (card.text) made.append(longText(card.text));
      if (card.folded) {
        const details = element("details");
        const text = card.folded.map((place) => gallery.lines[place]).join("\n");
        details.append(element("summary", "", gallery.folded), longText(text));
        made.append(details);
      }
      if (card.id) {
        const line = element("p", "trace");
        line.append(element("code", "", "dataengine trace " + shellWord(card.id) + (data.run ? " --run " + shellWord(data.run) : "")));
        made.append(line);
      }
      return made;
    }

    const grid = element("div", "cards");
    const count = element("p", "gallery-count");
    count.setAttribute("role", "status");

    function show() {
      const from = state.page * perPage;
      const page = found.slice(from, from + perPage);
      const built = page.map((place) => cardOf(cards[place]));
      grid.replaceChildren(...built);
      if (!built.length) grid.append(element("p", "empty", "No case fits these filters."));
      const some = found.length === cards.length ? "" : `${found.length.toLocaleString("en")} found of `;
      const range = page.length ? `${(from + 1).toLocaleString("en")} to ${(from + page.length).toLocaleString("en")}` : "0";
      const rest = gallery.total > cards.length ? `; this page has the first ${cards.length.toLocaleString("en")}` : "";
      count.textContent = some
        ? `${range} shown, ${some}${gallery.total.toLocaleString("en")}${rest}`
        : `${range} of ${gallery.total.toLocaleString("en")} shown${rest}`;
      const last = Math.max(0, Math.ceil(found.length / perPage) - 1);
      for (const bar of pageBars) bar.update(last);
    }

    function filter() {
      if (state.words.length && texts === null) texts = cards.map(searched);
      const wanted = state.chosen.map((value, place) => [value, place]).filter(([value]) => value);
      found = [];
      for (let place = 0; place < cards.length; place++) {
        const values = cards[place].values || [];
        if (!wanted.every(([value, column]) => values[column] === value)) continue;
        if (!state.words.every((word) => texts[place].includes(word))) continue;
        found.push(place);
      }
      if (state.order) {
        const [column, direction] = state.order.split(" ").map(Number);
        const key = (place) => {
          const figure = (cards[place].figures || [])[column];
          return figure === null || figure === undefined ? Infinity : direction * figure; // not known: last
        };
        const keys = new Map(found.map((place) => [place, key(place)]));
        found.sort((one, other) => (keys.get(one) === keys.get(other) ? one - other : keys.get(one) - keys.get(other)));
      }
      state.page = 0;
      show();
    }

    function labelled(text, field) {
      const label = element("label", "", text);
      label.append(field);
      return label;
    }

    function chooser(options) {
      const field = element("select");
      for (const [value, text] of options) {
        const option = element("option", "", text);
        option.value = value;
        field.append(option);
      }
      return field;
    }

    function tools() {
      const bar = element("div", "gallery-tools");
      const search = element("input");
      search.type = "search";
      search.addEventListener("input", () => {
        state.words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
        filter();
      });
      bar.append(labelled("search", search));
      gallery.filters.forEach((name, column) => {
        const counts = new Map();
        for (const card of cards) {
          const value = (card.values || [])[column];
          if (value) counts.set(value, (counts.get(value) || 0) + 1);
        }
        if (counts.size < 2) return;
        const sorted = [...counts].sort((one, other) => (one[0] < other[0] ? -1 : 1));
        const short = (text) => (text.length > 60 ? text.slice(0, 60) + "…" : text);
        const field = chooser([["", "all"], ...sorted.map(([value, number]) => [value, `${short(value)} (${number.toLocaleString("en")})`])]);
        field.addEventListener("change", () => {
          state.chosen[column] = field.value;
          filter();
        });
        bar.append(labelled(name, field));
      });
      const orders = [["", "types in turn"]];
      gallery.orders.forEach((name, column) => {
        const known = cards.filter((card) => typeof (card.figures || [])[column] === "number").length;
        if (known < 2) return;
        orders.push([`${column} -1`, `${name}, highest first`], [`${column} 1`, `${name}, lowest first`]);
      });
      if (orders.length > 1) {
        const field = chooser(orders);
        field.addEventListener("change", () => {
          state.order = field.value;
          filter();
        });
        bar.append(labelled("order", field));
      }
      if (cards.some((card) => [card.picture, ...(card.pair || [])].some((one) => one && boxesOf(one[0]).length))) {
        const box = element("input");
        box.type = "checkbox";
        box.addEventListener("change", () => {
          state.boxes = box.checked;
          show();
        });
        const label = element("label", "switch");
        label.append(box, "boxes");
        bar.append(label);
      }
      return bar;
    }

    function pageBar() {
      const bar = element("div", "gallery-pages");
      const before = element("button", "", "← previous");
      const after = element("button", "", "next →");
      const where = element("span");
      for (const [button, step] of [[before, -1], [after, 1]]) {
        button.type = "button";
        button.addEventListener("click", () => {
          state.page += step;
          show();
          if (bar !== pageBars[0].bar) section.scrollIntoView();
        });
      }
      bar.append(before, where, after);
      const update = (last) => {
        bar.hidden = last === 0;
        before.disabled = state.page === 0;
        after.disabled = state.page === last;
        where.textContent = `page ${(state.page + 1).toLocaleString("en")} of ${(last + 1).toLocaleString("en")}`;
      };
      return { bar, update };
    }

    function enlarge(place, alt) {
      const large = element("dialog", "gallery-large");
      const bar = element("div", "bar");
      const close = element("button", "", "close");
      close.type = "button";
      close.addEventListener("click", () => large.close());
      bar.append(element("span", "why", alt), close);
      if (boxesOf(place).length) {
        const box = element("button", "", "boxes");
        box.type = "button";
        box.setAttribute("aria-pressed", String(state.boxes));
        box.addEventListener("click", () => {
          const on = box.getAttribute("aria-pressed") !== "true";
          box.setAttribute("aria-pressed", String(on));
          large.lastChild.replaceWith(framed(place, alt, on));
        });
        close.before(box);
      }
      large.setAttribute("aria-label", "enlarged image");
      large.append(bar, framed(place, alt, state.boxes));
      large.addEventListener("close", () => large.remove());
      large.addEventListener("click", (event) => {
        if (event.target === large) large.close(); // beside it
      });
      section.append(large);
      large.showModal();
    }

    const pageBars = [pageBar(), pageBar()];
    const bar = tools();
    show();
    section.replaceChildren(bar, count, pageBars[0].bar, grid, pageBars[1].bar);
    // after the page is shown, so that the first search is as quick as the others
    setTimeout(() => {
      texts = texts || cards.map(searched);
    }, 300);
  }

  shown.forEach(start);
})();

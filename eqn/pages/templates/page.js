"use strict";
{
  const finder = document.getElementById("finder");
  const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const byNumber = (name, sign) => (a, b) => sign * (Number(a.dataset[name]) - Number(b.dataset[name]));
  const orders = {
    most: byNumber("intensity", -1), least: byNumber("intensity", 1),
    short: byNumber("length", 1), long: byNumber("length", -1),
  };

  if (finder) {
    const [words, emotion, kind, sort] = ["words", "emotion", "kind", "sort"].map((id) => document.getElementById(id));
    const found = document.getElementById("found");
    const groups = [...document.querySelectorAll("details.emotion")].map((element) => ({
      element, wasOpen: element.open,
      lists: [...element.querySelectorAll("ul.examples")].map((list) => ({ list, items: [...list.children] })),
    }));
    const texts = new Map(groups.flatMap((group) => group.lists.flatMap(({ items }) =>
      items.map((item) => [item, fold([...item.querySelectorAll(".text, .source")].map((one) => one.textContent).join(" "))]))));
    let narrowed = false;

    const update = () => {
      const asked = fold(words.value).split(/\s+/).filter(Boolean);
      const narrow = asked.length > 0 || emotion.value !== "" || kind.value !== "";
      let count = 0;
      for (const { element, lists, wasOpen } of groups) {
        let here = 0;
        for (const { list, items } of lists) {
          let inList = 0;
          for (const item of items) {
            const fits = (emotion.value === "" || element.dataset.emotion === emotion.value)
              && (kind.value === "" || item.dataset.kind === kind.value)
              && asked.every((word) => texts.get(item).includes(word));
            item.hidden = !fits;
            inList += fits;
          }
          list.parentElement.hidden = inList === 0;
          here += inList;
        }
        element.hidden = here === 0;
        if (asked.length > 0 || emotion.value !== "") element.open = here > 0;
        else if (narrowed) element.open = wasOpen;
        count += here;
      }
      narrowed = asked.length > 0 || emotion.value !== "";
      found.textContent = narrow
        ? `${count} of the ${texts.size} examples on this page`
        : `${texts.size} examples; the release itself has more`;
    };
    const reorder = () => {
      for (const { list, items } of groups.flatMap((group) => group.lists)) {
        list.append(...(orders[sort.value] ? [...items].sort(orders[sort.value]) : items));
      }
    };

    finder.addEventListener("submit", (event) => event.preventDefault());
    finder.addEventListener("input", update);
    sort.addEventListener("change", reorder);
    finder.hidden = false;
    update();
    reorder();
  }

  for (const code of document.querySelectorAll("pre.code")) {
    const button = document.createElement("button");
    const told = document.createElement("span");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy the lines for ${code.getAttribute("aria-label")}`);
    told.className = "copied";
    told.setAttribute("role", "status");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        told.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        told.textContent = "Selected: copy with your keyboard";
      }
    });
    code.before(button, told);
  }
}

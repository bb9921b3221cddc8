// Elements from names, attributes and texts. No text becomes markup: there is no innerHTML anywhere in this script.

export function node(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// A label beside its field: one around a list would have every option in its name.
let named = 0;
function labelled(label, field) {
  field.id = `field-${++named}`;
  return node("span", { class: "choice" }, node("label", { for: field.id }, label), field);
}

export function choice(label, options, value, onchange) {
  const select = node("select", { onchange: () => onchange(select.value) });
  for (const each of options) {
    const text = each.why ? `${each.label}: ${each.why}` : each.label;
    select.append(node("option", { value: each.id, disabled: Boolean(each.why), selected: each.id === value }, text));
  }
  return labelled(label, select);
}

export function tick(label, checked, onchange, attributes = {}) {
  const box = node("input", { type: "checkbox", checked, ...attributes, onchange: () => onchange(box.checked) });
  return node("label", { class: "tick" }, box, node("span", {}, label));
}

export function number(label, value, onchange, attributes = {}) {
  const input = node("input", {
    type: "number",
    step: "any",
    min: "0",
    value,
    inputmode: "decimal",
    ...attributes,
    oninput: () => onchange(Number(input.value), input),
  });
  return label === null ? input : labelled(label, input);
}

// dom.js makes elements. There is no template engine: h('div', {class: 'card'}, child, …) is all.

const properties = new Set(['value', 'checked', 'disabled', 'hidden', 'indeterminate']);

// h makes an element. A property on… listens, test becomes data-test, null and false are left out.
export function h(tag, props = {}, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value == null || value === false) continue;
    if (name.startsWith('on')) el.addEventListener(name.slice(2), value);
    else if (name === 'test') el.dataset.test = value;
    else if (properties.has(name)) el[name] = value;
    else el.setAttribute(name, value === true ? '' : value);
  }
  append(el, children);
  return el;
}

function append(el, children) {
  for (const child of children.flat(Infinity)) {
    if (child == null || child === false || child === '') continue;
    el.append(child);
  }
}

const strokes = {
  back: 'M15 5l-7 7 7 7',
  next: 'M9 5l7 7-7 7',
  check: 'M5 12.5l4.5 4.5L19 7',
  close: 'M6 6l12 12M18 6L6 18',
  clock: 'M12 7v5l3.2 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18',
  warn: 'M12 8v5M12 16.6v.1M12 3.5L2.8 19.5h18.4z',
  info: 'M12 11v5.5M12 7.6v.1M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18',
  shield: 'M12 3l7.5 3v5.5c0 4.6-3.1 7.9-7.5 9.5-4.4-1.6-7.5-4.9-7.5-9.5V6zM8.5 12l2.5 2.5 4.5-5',
  bill: 'M6 3h12v18l-3-2-3 2-3-2-3 2zM9 8h6M9 12h6',
  person: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M4.5 20.5c.8-3.8 3.7-6 7.5-6s6.7 2.2 7.5 6',
  list: 'M8 6h12M8 12h12M8 18h12M4 6v.1M4 12v.1M4 18v.1',
  wallet: 'M4 7h15a1.5 1.5 0 0 1 1.5 1.5v10A1.5 1.5 0 0 1 19 20H5.5A1.5 1.5 0 0 1 4 18.5zM4 7l11-3v3M16.5 13.5v.1',
  refresh: 'M20 11a8 8 0 1 0-2.3 6.3M20 5v6h-6',
  undo: 'M9 7L4 12l5 5M4 12h10a5.5 5.5 0 0 1 0 8',
  pin: 'M12 21c4.5-4.5 7-7.9 7-11a7 7 0 1 0-14 0c0 3.1 2.5 6.5 7 11M12 12.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5',
  backspace: 'M9 5h11v14H9l-6-7zM12 9.5l5 5M17 9.5l-5 5',
  more: 'M5 12v.1M12 12v.1M19 12v.1',
  target: 'M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16M12 12v.1',
  download: 'M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 20h14',
  hospital: 'M5 21V5h14v16M3 21h18M12 8v6M9 11h6M10 21v-4h4v4',
  family: 'M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6M16.5 12a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5M2.5 19.5c.5-3.3 2.6-5 5.5-5s5 1.7 5.5 5M14.5 15.2c3.2-.8 6 .8 6.7 4.3',
};

// icon draws one of the line icons above, 24 units square; it says nothing to a screen reader.
export function icon(name, extra = '') {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', `icon icon-${name} ${extra}`.trim());
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', strokes[name]);
  svg.append(path);
  return svg;
}

// button makes a button whose press may take time: until it is over the button is busy and cannot be pressed again.
export function button(label, {kind = 'primary', test, press, disabled, type = 'button', name}) {
  const el = h('button', {class: `button ${kind}`, type, test, disabled, 'aria-label': name},
    h('span', {class: 'button-label'}, label));
  if (press) {
    el.addEventListener('click', async () => {
      if (el.getAttribute('aria-busy') === 'true') return;
      el.setAttribute('aria-busy', 'true');
      try {
        await press(el);
      } finally {
        el.removeAttribute('aria-busy');
      }
    });
  }
  return el;
}

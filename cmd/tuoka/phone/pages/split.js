// split.js draws who pays what: one bar, and the parts in the order of the insurer's statement.

import {h} from '../dom.js';
import {amount, nameOf, parts, paidBy, yuan} from '../text.js';

const groups = [['insurer', '医保支付'], ['hospital', '医院负担'], ['patient', '您用微信支付']];

// splitBar is the stacked bar; its label says the same in words.
export function splitBar(split, total) {
  const shown = parts.filter((p) => split[p.key] > 0);
  const bar = h('div', {class: 'split-bar', role: 'img', 'aria-label': shown.map((p) => `${p.name} ${yuan(split[p.key])} 元`).join('，')});
  for (const p of shown) {
    const piece = h('span', {class: `piece ${p.key.replace('_fen', '')}`});
    piece.style.flexGrow = String(split[p.key] / total);
    bar.append(piece);
  }
  return bar;
}

// splitTable lists the parts under who pays them. Parts of nothing are left out, but an insured patient sees fund and account always.
export function splitTable(order, insured) {
  const {split} = order;
  return h('section', {class: 'card split', test: 'split'},
    groups.map(([who, title]) => {
      const list = parts.filter((p) => p.by === who && (split[p.key] > 0 || (p.always && insured))).map((p) => ({key: p.key, ...nameOf(p, insured)}));
      if (list.length === 0) return null;
      const sum = paidBy(split, who);
      return h('div', {class: `split-group ${who}`},
        h('div', {class: 'split-head'}, h('h3', {}, title), amount(sum, '', `split-${who}`)),
        who === 'hospital' ? null : h('ul', {}, list.map((p) => h('li', {class: 'split-row'},
          h('span', {class: `dot ${p.key.replace('_fen', '')}`}),
          h('span', {class: 'split-name'}, p.name, p.note ? h('small', {}, p.note) : null),
          h('span', {class: 'split-amount', 'data-test': p.key}, yuan(split[p.key]))))));
    }),
    h('div', {class: 'split-total'}, h('span', {}, '费用合计'), amount(order.total_fen, '', 'order-total')));
}

// drawer.js is the sandbox's own board: it makes counterparts misbehave, plays the window and the doctor, and shows what went wrong so far.

import {h, icon, button} from './dom.js';
import {api, sandbox, aboutSandbox} from './api.js';
import {session} from './session.js';
import {go, onShown} from './view.js';

const parties = {nhsa: '医保', wechatpay: '微信支付', his: 'HIS', wechatmp: '小程序'};

const faultNames = {
  lose_before: '请求丢失', lose_after: '应答丢失', error_before: '5xx，未办', error_after: '5xx，已办', garbage: '应答乱码', slow: '变慢',
  late_answer: '应答太晚', late_effect: '办理太晚', repeat: '重复送达', refuse: '拒绝', change_amount: '金额被改',
};

const opNames = {
  1101: '1101 人员信息', 2201: '2201 挂号', '2203A': '2203A 就诊信息', 2204: '2204 费用上传', 2205: '2205 费用撤销', 2206: '2206 预结算', 2207: '2207 结算',
  2208: '2208 结算撤销', 2601: '2601 冲正', 5203: '5203 结算查询', jsapi: '下单', query: '查单', close: '关单', refund: '退款', refund_query: '退款查询', notice: '支付通知',
  'patients.find': '查档案', 'bills.pending': '待缴列表', 'bills.detail': '费用明细', lock: '锁单', release: '解锁', post: '入账', 'posting.query': '入账查询', userQuery: '授权查询',
};

// singles are the faults worth trying by hand, each for the next such call.
const singles = [
  ['预结算', [
    ['nhsa', '2206', 'refuse', '医保拒绝预结算', '看到原因，可改自费'],
    ['nhsa', '2206', 'lose_after', '丢失 2206 应答', '换新批次再算一次'],
  ]],
  ['支付', [
    ['wechatpay', 'jsapi', 'lose_after', '丢失下单应答', '同一商户单号再下'],
    ['wechatpay', 'notice', 'lose_before', '微信通知丢失', '靠查单发现已支付'],
    ['wechatpay', 'query', 'error_before', '查单 502', '继续查，不当作未付'],
    ['wechatpay', 'bank', 'refuse', '付款银行拒绝', '收银台报错，可再付'],
  ]],
  ['医保结算', [
    ['nhsa', '2207', 'lose_after', '丢失 2207 应答', '2601 冲正后再结算'],
    ['nhsa', '2601', 'lose_after', '丢失 2601 应答', '与上一项同用：再冲正'],
    ['nhsa', '2207', 'refuse', '医保拒绝结算', '撤销，微信原路退回'],
    ['nhsa', '2207', 'change_amount', '结算金额被改', '2208 撤销并退款'],
  ]],
  ['医院', [
    ['his', 'post', 'lose_after', 'HIS 入账应答丢失', '查询后得知已入账'],
    ['his', 'post', 'refuse', 'HIS 维护中', '入账稍后重试'],
    ['his', 'bills.detail', 'change_amount', '费用单金额被改', '重新预结算再确认'],
    ['his', 'lock', 'lose_after', '锁单应答丢失', '同一订单号再锁'],
  ]],
];

const bigCodes = ['W10231', 'W10417', 'W10544', 'W10602', 'W10733', 'W10788', 'Z20115', 'Z20231', 'Z30012', 'Z30025', 'L40011', 'L40002', 'L40087', 'E50003', 'E50017',
  'E50031', 'C60007', 'C60015', 'H70021', 'S80011'];

// bills are what the doctor can order: the body of a new bill beside the patient.
const newBills = {
  usual: () => ({seed: Math.floor(Math.random() * 1e9) + 1, count: 1}),
  long: () => ({items: [...bigCodes, ...bigCodes].map((code) => ({code, quantity: '1'}))}),
  large: () => ({items: [{code: 'SB0001', name: '植入式双腔心脏起搏系统（进口，含电极导线与程控随访）', price: '1234567.89', quantity: '1', med_list_codg: '002103000010000-210300001', class: 'B', category: '08'}]}),
};

let bill = '';
let voice = null;

// say tells on the board, not on the phone, what the sandbox did.
function say(text, tone = '') {
  const one = h('p', {class: `said ${tone}`}, text);
  voice.replaceChildren(one);
  setTimeout(() => one.remove(), 4000);
}

// drawer draws the board once and keeps its lists fresh while it can be seen.
export function drawer() {
  const box = document.getElementById('drawer');
  const opener = document.getElementById('drawer-open');
  const open = (yes) => {
    box.classList.toggle('open', yes);
    opener.setAttribute('aria-expanded', String(yes));
    if (yes) box.querySelector('button')?.focus();
    else opener.focus();
  };
  opener.addEventListener('click', () => open(!box.classList.contains('open')));
  box.addEventListener('keydown', (e) => { if (e.key === 'Escape') open(false); });
  voice = h('div', {class: 'drawer-voice', role: 'status', 'aria-live': 'polite', test: 'said'});
  const counter = h('div', {});
  const injected = h('ol', {class: 'injected', test: 'injected'});
  box.append(
    h('header', {class: 'drawer-head'}, h('h2', {}, '沙箱控制台'), h('button', {class: 'drawer-close', type: 'button', 'aria-label': '收起', onclick: () => open(false)}, icon('close'))),
    h('div', {class: 'drawer-body'},
      section('收费窗口与医生', counter), section('故障强度', levels()), section('单次故障', singles.map(([name, list]) => [h('h4', {}, name), h('div', {class: 'faults'}, list.map(fault))])),
      section('已发生的故障', injected), section('链接', links())),
    voice);
  const showCounter = () => counter.replaceChildren(...atWindow().flat(Infinity).filter(Boolean));
  showCounter();
  onShown(async (shown) => {
    bill = shown.no || '';
    showCounter();
    if (!shown.id) return;
    const order = await api('GET', `/orders/${shown.id}`).catch(() => null);
    bill = order?.bills[0]?.bill_no || '';
    showCounter();
  });
  const look = () => { if (!document.hidden && box.offsetParent) faults(injected); };
  look();
  setInterval(look, 4000);
}

function section(title, ...nodes) { return h('section', {class: 'drawer-section'}, h('h3', {}, title), nodes); }

function atWindow() {
  const now = bill; // the bill of the press, whatever is shown later
  const act = (path, done) => async () => {
    try {
      await sandbox('POST', `/his/bills/${encodeURIComponent(now)}/${path}`);
      say(done);
    } catch (err) {
      say(said(err.message), 'bad');
    }
  };
  const order = (kind) => async () => {
    if (!session.role) {
      say('先选择一个人物');
      return;
    }
    try {
      await sandbox('POST', '/his/bills', {patient_id: session.role.his_patient, ...newBills[kind]()});
      say('医生开了新的费用单');
      if (location.hash === '#/home') go('/home');
    } catch (err) {
      say(said(err.message), 'bad');
    }
  };
  return [
    h('p', {class: 'drawer-line'}, bill ? ['页面上的费用单 ', h('code', {}, bill)] : '打开一张费用单或订单，就可以在窗口缴费或作废它。'),
    h('div', {class: 'drawer-buttons'},
      button('在窗口缴费', {kind: 'small', test: 'window-pay', disabled: !bill, press: act('window-pay', '已在窗口缴费')}),
      button('作废费用单', {kind: 'small danger', test: 'void-bill', disabled: !bill, press: act('void', '费用单已作废')})),
    h('div', {class: 'drawer-buttons'},
      button('新开费用单', {kind: 'small', test: 'new-bill', press: order('usual')}),
      button('40 项的', {kind: 'small', test: 'new-long-bill', press: order('long')}),
      button('百万元的', {kind: 'small', test: 'new-large-bill', press: order('large')})),
  ];
}

function said(text) {
  if (text.includes('the platform holds this bill')) return '费用单已被线上订单锁定，窗口不能操作';
  if (text.includes('does not allow')) return '费用单已缴或已作废';
  return text;
}

function levels() {
  const seed = h('input', {type: 'number', min: 0, step: 1, value: 1, id: 'seed', 'aria-label': '随机种子'});
  const choice = (value, name, note) => h('label', {class: 'level'}, h('input', {type: 'radio', name: 'level', value, test: `level-${value}`, onchange: set}), h('span', {}, h('strong', {}, name), h('small', {}, note)));
  const box = h('div', {class: 'levels'}, choice('none', '无', '一切正常'), choice('mild', '轻', '偶有丢失'), choice('harsh', '重', '拒绝、改价'));
  async function set() {
    const level = box.querySelector('input:checked')?.value;
    if (!level) return;
    try {
      await sandbox('PUT', '/faults', {level, seed: Number(seed.value) || 0});
      say('故障强度已更换');
    } catch (err) {
      say(err.message, 'bad');
    }
  }
  seed.addEventListener('change', set);
  sandbox('GET', '/nhsa/faults').then((f) => {
    box.querySelector(`[value=${f.level}]`).checked = true;
    seed.value = f.seed || 1;
  }).catch(() => {}); // the choice stays open
  return [box, h('label', {class: 'seed'}, '随机种子', seed)];
}

function fault([party, op, kind, name, note]) {
  return h('button', {class: 'fault', type: 'button', test: `fault-${op}-${kind}`, onclick: async () => {
    try {
      if (op === 'bank') await sandbox('POST', '/wechatpay/bank-refusals', {out_trade_no: '', times: 1});
      else await sandbox('POST', `/${party}/faults/script`, {op, key: '', fault: kind, times: 1});
      say(`已安排：${name}（下一次）`);
    } catch (err) {
      say(err.message, 'bad');
    }
  }}, h('strong', {}, name), h('small', {}, note));
}

async function faults(list) {
  const all = (await Promise.all(Object.keys(parties).map(async (party) => {
    const answer = await sandbox('GET', `/${party}/faults`).catch(() => ({injected: []}));
    return (answer.injected || []).map((f) => ({party, ...f}));
  }))).flat().sort((a, b) => b.at.localeCompare(a.at)).slice(0, 40);
  const time = new Intl.DateTimeFormat('zh-CN', {timeZone: 'Asia/Shanghai', hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false});
  if (all.length === 0) list.replaceChildren(h('li', {class: 'hint'}, '还没有。'));
  else list.replaceChildren(...all.map((f) => h('li', {}, h('time', {}, time.format(new Date(f.at))), h('span', {}, `${parties[f.party]} ${opNames[f.op] || f.op}`), h('strong', {}, faultNames[f.fault] || f.fault))));
}

function links() {
  const box = h('p', {class: 'drawer-links'});
  aboutSandbox().then((about) => box.replaceChildren(
    h('a', {href: about.docs, target: '_blank', rel: 'noopener'}, '接口文档'), h('a', {href: `${about.ops}/readyz`, target: '_blank', rel: 'noopener'}, '运行状态'))).catch(() => {}); // no links then
  return box;
}

// drawer.js is the sandbox's own board: it makes counterparts misbehave, plays the window and the doctor, and shows what went wrong so far.

import {h, icon, button} from './dom.js';
import {api, sandbox, aboutSandbox, atHospital, hospitalHere, sleep} from './api.js';
import {session} from './session.js';
import {go, onShown} from './view.js';

// parties are the counterparts: those that all hospitals share, and those that each has alone.
const parties = {nhsa: '医保', centre: '医保中心', wechatpay: '微信支付', his: 'HIS', wechatmp: '小程序'};
const alone = ['wechatpay', 'his'];

// at speaks to a counterpart's own door.
const at = (party, method, path, body) => (alone.includes(party) ? atHospital(method, `/${party}${path}`, body) : sandbox(method, `/${party}${path}`, body));

const faultNames = {
  lose_before: '请求丢失', lose_after: '应答丢失', error_before: '5xx，未办', error_after: '5xx，已办', garbage: '应答乱码', slow: '变慢',
  late_answer: '应答太晚', late_effect: '办理太晚', repeat: '重复送达', refuse: '拒绝', change_amount: '金额被改',
};

const opNames = {
  1101: '1101 人员信息', 2201: '2201 挂号', '2203A': '2203A 就诊信息', 2204: '2204 费用上传', 2205: '2205 费用撤销', 2206: '2206 预结算', 2207: '2207 结算',
  2208: '2208 结算撤销', 2601: '2601 冲正', 5203: '5203 结算查询',
  6201: '6201 费用上传', 6202: '6202 支付下单', 6203: '6203 退费', 6301: '6301 结果查询', 6401: '6401 上传撤销', mixed: '混合下单', mixed_query: '混合查单', mixed_notice: '混合支付通知',
  jsapi: '下单', query: '查单', close: '关单', refund: '退款', refund_query: '退款查询', notice: '支付通知',
  'patients.find': '查档案', 'bills.pending': '待缴列表', 'bills.detail': '费用明细', lock: '锁单', release: '解锁', post: '入账', 'posting.query': '入账查询',
  'refund.hold': '退费审核', 'refund.drop': '退费取消', 'refund.book': '退费记账', 'refund.query': '退费查询', 'statements.list': '日对账清单', userQuery: '授权查询',
};

const hospitalSingles = ['医院', [
  ['his', 'post', 'lose_after', 'HIS 入账应答丢失', '查询后得知已入账'],
  ['his', 'post', 'refuse', 'HIS 维护中', '入账稍后重试'],
  ['his', 'bills.detail', 'change_amount', '费用单金额被改', '重新预结算再确认'],
  ['his', 'lock', 'lose_after', '锁单应答丢失', '同一订单号再锁'],
]];

const refundSingles = [
  ['his', 'refund.hold', 'refuse', 'HIS 不同意退费', '未予退费，看到原因'],
  ['his', 'refund.book', 'lose_after', 'HIS 退费记账应答丢失', '查询后得知已记账'],
  ['wechatpay', 'refund', 'lose_after', '微信退款应答丢失', '同一退款单号查询'],
];

// stepwise are the faults worth trying by hand where the legs follow each other, each for the next such call.
const stepwise = [
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
  hospitalSingles,
  ['退费', [
    ['nhsa', '2208', 'lose_after', '丢失 2208 应答', '查清后继续，不重复撤销'],
    ...refundSingles,
  ]],
];

// jointly are those where one password moves both legs.
const jointly = [
  ['医保上传与预结算', [
    ['centre', '6201', 'lose_after', '丢失 6201 应答', '换新单号重新上传'],
    ['centre', '6202', 'lose_after', '丢失 6202 应答', '6301 查清后再问一次'],
    ['centre', '6201', 'refuse', '医保拒绝上传', '看到原因，可改自费'],
    ['centre', '6202', 'refuse', '医保拒绝预结算', '撤销上传，可改自费'],
  ]],
  ['支付', [
    ['wechatpay', 'jsapi', 'lose_after', '丢失现金下单应答', '同一商户单号再下'],
    ['wechatpay', 'mixed', 'lose_after', '丢失混合下单应答', '先查单，同一单号继续'],
    ['wechatpay', 'mixed', 'refuse', '微信拒绝混合下单', '换商户单号，医保单不换'],
    ['wechatpay', 'mixed_query', 'error_before', '混合查单 502', '继续查，不当作未付'],
    ['wechatpay', 'mixed_notice', 'lose_before', '混合通知丢失', '靠查单发现已支付'],
    ['wechatpay', 'bank', 'refuse', '付款银行拒绝', '收银台报错，可再付'],
  ]],
  ['医保结果', [
    ['centre', '6301', 'lose_after', '丢失 6301 应答', '再查，不当作未结算'],
    ['centre', '6301', 'words', '6301 答复失败', '未签名，不算数，再查'],
    ['centre', '6301', 'stas', '6301 说结算中', '不入账，继续查'],
    ['centre', '6401', 'lose_after', '丢失 6401 应答', '以 6301 为准'],
  ]],
  hospitalSingles,
  ['退费', [
    ['centre', '6203', 'lose_after', '丢失 6203 应答', '同一退款流水再查'],
    ...refundSingles,
  ]],
];

// outcomes are how the next password may end where the insurer does not settle: by what becomes of the cash.
const outcomes = [
  ['kept', '医保拒付·现金保留', '微信留住现金，由我们退款'],
  ['returned', '医保拒付·现金自动退回', '微信自己退，人工核实'],
  ['uncharged', '医保拒付·未扣现金', '关闭，可再缴'],
];

const bigCodes = ['W10231', 'W10417', 'W10544', 'W10602', 'W10733', 'W10788', 'Z20115', 'Z20231', 'Z30012', 'Z30025', 'L40011', 'L40002', 'L40087', 'E50003', 'E50017',
  'E50031', 'C60007', 'C60015', 'H70021', 'S80011'];

const chance = () => Math.floor(Math.random() * 1e9) + 1;

// bills are what the doctor can order: the body of a new bill beside the patient.
const newBills = {
  usual: () => ({seed: chance(), count: 1}),
  visit: () => ({seed: chance(), count: 2, together: true}),
  registration: () => ({seed: chance(), kind: 'registration'}),
  deposit: () => ({seed: chance(), kind: 'deposit'}),
  long: () => ({items: [...bigCodes, ...bigCodes].map((code) => ({code, quantity: '1'}))}),
  large: () => ({items: [{code: 'SB0001', name: '植入式双腔心脏起搏系统（进口，含电极导线与程控随访）', price: '1234567.89', quantity: '1', med_list_codg: '002103000010000-210300001', class: 'B', category: '08'}]}),
};

let bill = '';
let viewed = ''; // the order in view
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
  const single = h('div', {});
  box.append(
    h('header', {class: 'drawer-head'}, h('h2', {}, '沙箱控制台'), h('button', {class: 'drawer-close', type: 'button', 'aria-label': '收起', onclick: () => open(false)}, icon('close'))),
    h('div', {class: 'drawer-body'},
      section('收费窗口与医生', counter), section('故障强度', levels()), section('单次故障', single), section('手机', phoneSwitches()),
      section('已发生的故障', injected), section('链接', links())),
    voice);
  const showCounter = () => counter.replaceChildren(...atWindow().flat(Infinity).filter(Boolean));
  showCounter();
  let drawn;
  const showSingles = async () => {
    const {together} = await hospitalHere();
    if (together === drawn) return;
    drawn = together;
    single.replaceChildren(...singlesOf(together));
  };
  onShown(async (shown) => {
    showSingles().catch(() => {}); // drawn with the next page
    bill = (shown.no || '').split(' ')[0];
    viewed = shown.id || '';
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
      await atHospital('POST', `/his/bills/${encodeURIComponent(now)}/${path}`);
      say(done);
    } catch (err) {
      say(said(err.message), 'bad');
    }
  };
  const posted = viewed;
  const handOut = async () => {
    try {
      const {lines} = await atHospital('GET', `/his/bills/${encodeURIComponent(now)}`);
      for (const l of lines) await atHospital('POST', `/his/bills/${encodeURIComponent(now)}/lines/${encodeURIComponent(l.line_no)}/hand-out`);
      say('药已发出，检查已做');
    } catch (err) {
      say(refusal(err.message, '有的项目还没缴费、正在退费、已退或已发出'), 'bad');
    }
  };
  const backAtWindow = (note, done) => async () => {
    try {
      await atHospital('POST', `/his/postings/${encodeURIComponent(posted)}/ask-refund`, {note});
      say(done);
      for (let i = 0; i < 20 && viewed === posted; i++) { // the hospital tells us in its own time
        await sleep(500);
        if ((await api('GET', `/orders/${posted}`)).refunds.length > 0) break;
      }
      if (viewed === posted) go(`/order/${posted}`);
    } catch (err) {
      say(refusal(err.message, '没有可退的项目：还没入账、正在退费、已退或已发出'), 'bad');
    }
  };
  const order = (kind) => async () => {
    if (!session.role) {
      say('先选择一个人物');
      return;
    }
    try {
      await atHospital('POST', '/his/bills', {patient_id: session.role.his_patient, ...newBills[kind]()});
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
      button('发药、做检查', {kind: 'small', test: 'hand-out', disabled: !posted, press: handOut}),
      button('窗口申请退费', {kind: 'small', test: 'window-asks', disabled: !posted, press: backAtWindow(false, '窗口已申请，由平台退款')}),
      button('窗口已退现金', {kind: 'small', test: 'window-gave', disabled: !posted, press: backAtWindow(true, '窗口已退款，平台只记账')})),
    h('div', {class: 'drawer-buttons'},
      button('新开费用单', {kind: 'small', test: 'new-bill', press: order('usual')}),
      button('40 项的', {kind: 'small', test: 'new-long-bill', press: order('long')}),
      button('百万元的', {kind: 'small', test: 'new-large-bill', press: order('large')})),
    h('div', {class: 'drawer-buttons'},
      button('挂号', {kind: 'small', test: 'new-registration', press: order('registration')}),
      button('住院预交金', {kind: 'small', test: 'new-deposit', press: order('deposit')}),
      button('同次就诊两张', {kind: 'small', test: 'new-visit', press: order('visit')})),
  ];
}

const refusal = (text, instead) => (/holds|does not allow|no such/.test(text) ? instead : text);

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

function singlesOf(together) {
  const list = (together ? jointly : stepwise).flatMap(([name, rows]) => [h('h4', {}, name), h('div', {class: 'faults'}, rows.map(fault))]);
  if (!together) return list;
  return [...list, h('h4', {}, '下一次输入密码'), h('div', {class: 'faults'}, outcomes.map(([mode, name, note]) => choice(`outcome-${mode}`, name, note, async () => {
    await atHospital('POST', '/wechatpay/mixed/cash', {mode});
    await sandbox('POST', '/nhsa/centre/refuse', {pay_ord_id: '', text: '个人账户余额与预结算时不一致'});
  })))];
}

function fault([party, op, kind, name, note]) {
  return choice(`fault-${op}-${kind}`, name, note, () => {
    if (op === 'bank') return atHospital('POST', '/wechatpay/bank-refusals', {out_trade_no: '', times: 1});
    if (kind === 'words') return sandbox('POST', '/nhsa/refuse', {infno: op, key: '', text: '查询失败，请稍后重试'});
    if (kind === 'stas') return sandbox('POST', '/nhsa/centre/stas', {pay_ord_id: '', ord_stas: 2, times: 3});
    return at(party, 'POST', '/faults/script', {op, key: '', fault: kind, times: 1});
  });
}

// choice is a button that arranges something for the next time.
function choice(test, name, note, arrange) {
  return h('button', {class: 'fault', type: 'button', test, onclick: async () => {
    try {
      await arrange();
      say(`已安排：${name}（下一次）`);
    } catch (err) {
      say(err.message, 'bad');
    }
  }}, h('strong', {}, name), h('small', {}, note));
}

// phoneSwitches are what is different about this patient's phone.
function phoneSwitches() {
  const row = (name, test, title, note, on) => h('label', {class: 'switch-row'}, h('span', {}, h('strong', {}, title), h('small', {}, note)),
    h('input', {type: 'checkbox', role: 'switch', class: 'switch', test, checked: session[name] === on, onchange: (e) => { session[name] = e.target.checked === on; }}));
  return [row('oldWechat', 'old-wechat', '旧版微信', '没有 requestMedicalInsurancePay，须先升级', true),
    row('noLocation', 'allow-location', '允许获取位置', '授权医保时带上就诊地点', false)];
}

async function faults(list) {
  const all = (await Promise.all(Object.keys(parties).map(async (party) => {
    const answer = await at(party, 'GET', '/faults').catch(() => ({injected: []}));
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

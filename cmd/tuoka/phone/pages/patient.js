// patient.js: adding a patient. The form is filled in with the sandbox person's data and can be changed; what is wrong the API says.

import {h, icon, button} from '../dom.js';
import {api, onPhone} from '../api.js';
import {session} from '../session.js';
import {go, banner} from '../view.js';
import {remedy} from '../problems.js';
import {clauses, relations, stamp} from '../text.js';

const errors = {NAME_INVALID: 'name', ID_NUMBER_INVALID: 'id_number', PHONE_INVALID: 'phone', RELATION_INVALID: 'relation'};

function field(name, label, value, extra = {}) {
  const error = h('p', {class: 'field-error', id: `${name}-error`, role: 'alert'});
  const input = h('input', {id: name, name, value, autocomplete: 'off', spellcheck: 'false', 'aria-describedby': error.id, test: `field-${name}`, ...extra});
  const box = h('div', {class: 'field'}, h('label', {for: name}, label), input, error);
  return {box, input, tell(text) {
    error.textContent = text;
    box.classList.toggle('wrong', Boolean(text));
    input.toggleAttribute('aria-invalid', Boolean(text));
  }};
}

function relationField(chosen) {
  const box = h('fieldset', {class: 'field'}, h('legend', {}, '与您的关系'), h('div', {class: 'chips'}, Object.entries(relations).map(([value, name]) =>
    h('label', {class: 'chip'}, h('input', {type: 'radio', name: 'relation', value, checked: value === chosen, test: `relation-${value}`}), h('span', {}, value === 'other' ? '其他' : name)))));
  return {box, get value() { return box.querySelector('input:checked').value; }};
}

// patientPage adds a patient: oneself first, then the family.
export async function patientPage(page) {
  const {patients} = await api('GET', '/patients', {signal: page.signal});
  const first = patients.length === 0;
  page.head(first ? '绑定就诊人' : '添加就诊人', first ? null : '/me');
  const role = session.role;
  const relation = relationField(patients.some((p) => p.relation === 'self') ? 'child' : 'self');
  const name = field('name', '姓名', first ? role.name : '', {maxlength: 50, required: true, placeholder: '与身份证一致'});
  const id = field('id_number', '身份证号码', first ? role.id_number : '', {maxlength: 18, required: true, inputmode: 'text', class: 'digits', placeholder: '18 位'});
  const phone = field('phone', '手机号码', first ? role.phone : '', {maxlength: 11, inputmode: 'tel', class: 'digits', placeholder: '缴费异常时联系您'});
  phone.box.append(button('用微信手机号', {kind: 'inline', test: 'wechat-phone', press: () => wechatPhone(phone)}));
  const said = h('div', {});
  const more = h('div', {});
  const fields = {name, id_number: id, phone};
  const form = {said, more, choice: '', guardian: false};
  const submit = button('绑定', {test: 'add-patient', press: () => add(page, form, fields, relation)});
  const all = h('form', {class: 'card form', novalidate: true, onsubmit: (e) => {
    e.preventDefault();
    submit.click();
  }}, relation.box, name.box, id.box, phone.box, more);
  page.show(h('div', {class: 'lead'}, h('h2', {}, first ? '给谁缴费？' : '再添加一位'),
    h('p', {}, clauses('用姓名和身份证号码在医院找到就诊档案，信息加密保存，页面上只显示掩码。'))), said, all);
  page.foot(submit);
}

async function wechatPhone(phone) {
  try {
    const {code} = await onPhone('/phone-code', {user: session.role.user});
    const got = await api('POST', '/account/phone', {body: {code}});
    phone.input.value = '';
    phone.input.placeholder = `已登记 ${got.phone}`;
    phone.tell('');
  } catch (err) {
    phone.tell(err.message);
  }
}

async function add(page, form, fields, relation) {
  form.said.replaceChildren();
  for (const f of Object.values(fields)) f.tell('');
  const body = {relation: relation.value, name: fields.name.input.value.trim(), id_number: fields.id_number.input.value.trim().toUpperCase(),
    phone: fields.phone.input.value.trim()};
  const chosen = form.more.querySelector('input[name=archive]:checked');
  if (chosen) body.his_patient = chosen.value;
  if (form.more.querySelector('input[name=guardian]')?.checked) body.guardian_consent = true;
  try {
    const added = await api('POST', '/patients', {body});
    session.patient = added.id;
    go('/home');
  } catch (err) {
    refused(page, form, fields, err);
  }
}

function refused(page, form, fields, err) {
  const at = fields[err.field] || fields[errors[err.code]];
  if (at) {
    at.tell(err.message);
    at.input.focus();
    return;
  }
  if (err.code === 'HIS_PATIENT_AMBIGUOUS') {
    form.more.replaceChildren(h('fieldset', {class: 'field'}, h('legend', {}, '医院有多份档案，请选择就诊卡'),
      h('div', {class: 'options'}, err.choices.map((c, i) => h('label', {class: 'option'},
        h('input', {type: 'radio', name: 'archive', value: c.his_patient, checked: i === 0}),
        h('span', {}, `卡号 ${c.card_no}`, c.created_at ? h('small', {}, `建档 ${stamp(c.created_at)}`) : null))))));
    return;
  }
  if (err.code === 'GUARDIAN_CONSENT_REQUIRED' && !form.more.querySelector('input[name=guardian]')) {
    form.more.replaceChildren(h('label', {class: 'tick'}, h('input', {type: 'checkbox', name: 'guardian', test: 'guardian'}),
      h('span', {}, '我是孩子的监护人，已阅读并同意', h('a', {href: '#/consent/guardian?next=/patient'}, '《监护人同意书》'), '，为孩子缴费')));
    form.said.replaceChildren(banner('info', '孩子未满 14 周岁，需要监护人同意。'));
    return;
  }
  form.said.replaceChildren(banner('bad', err.message, err.requestID ? h('p', {class: 'request-id'}, `请求编号 ${err.requestID}`) : null));
  if (err.code === 'CONSENT_REQUIRED' || err.code === 'PATIENT_EXISTS' || err.code === 'GUARDIAN_CONSENT_REQUIRED') form.said.append(remedy(page, err));
}

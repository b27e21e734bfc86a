// Reads journal records and published events, by docs/record-format.md and docs/event-format.md alone, and prints what it
// found as JSON: `node read.mjs journal-records.json published-events.json`.

import { readFileSync } from 'node:fs'
import * as zlib from 'node:zlib'
import { Decoder } from 'cbor-x'

const decoder = new Decoder({ useRecords: false, mapsAsObjects: true, tagUint8Array: false, int64AsNumber: true })
const hex = (bytes) => Buffer.from(bytes).toString('hex')

// What JSON has no form for, as an object with one key that says what it is.
function plain(value) {
  if (value === undefined) return null
  if (typeof value === 'bigint') {
    return Number.isSafeInteger(Number(value)) ? Number(value) : { integer: value.toString() }
  }
  if (typeof value === 'number' && !Number.isFinite(value)) return { float: String(value) }
  if (value instanceof Date) return { instant: value.toISOString() }
  if (value instanceof Set) return { set: [...value].map(plain).sort() }
  if (value instanceof Uint8Array) return { bytes: hex(value) }
  if (Array.isArray(value)) return value.map(plain)
  if (value !== null && typeof value === 'object') {
    if ('tag' in value && 'value' in value) return { tag: value.tag, value: plain(value.value) }
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]))
  }
  return value
}

function journalRecord(value) {
  const bytes = Buffer.from(value, 'hex')
  const [version, checksum, header, owner, entries] = decoder.decode(bytes)
  if (version !== 2) throw new Error(`format ${version}`)
  if (checksumOf(bytes.subarray(7)) !== Buffer.from(checksum).readUInt32BE()) throw new Error('checksum')
  const fields = Buffer.from(header)
  const number = (at) => Number(fields.readBigInt64BE(at))
  const kind = fields[0]
  const shared = Array.isArray(owner)
  return {
    kind,
    author: hex(fields.subarray(1, 17)),
    writer: hex(fields.subarray(17, 33)),
    epoch: number(33),
    prev_author: hex(fields.subarray(41, 57)),
    prev_offset: number(73),
    shared,
    state: [String(owner), number(81), number(89), number(57), number(97), number(65)],
    claimant: kind === 0 && entries.length ? claimant(entries) : null,
    entries: kind === 1 && !shared ? entries.map((entry) => entry.slice(0, 2).map(Number)) : [],
    items: kind !== 0 && shared ? entries.map(item) : [],
  }
}

// An item of a log that several ids share: a run, a state or a marker, by its length.
function item(fields) {
  return fields.map((field) => (field instanceof Uint8Array ? hex(field) : typeof field === 'string' ? field : Number(field)))
}

function claimant([host, processId, timestamp, ...address]) {
  return [host, Number(processId), Number(timestamp), ...address]
}

function publishedEvent(value) {
  const fields = decoder.decode(Buffer.from(value, 'hex'))
  const [version, id, number, timestamp, type, typeVersion, data, manifest = '', tags = [], metadata = null] = fields
  if (version !== 1 || fields.length < 7 || fields.length > 10) throw new Error(`format ${version}`)
  return {
    persistence_id: id,
    sequence_nr: Number(number),
    timestamp: Number(timestamp),
    type_name: type,
    type_version: Number(typeVersion),
    data: plain(data),
    manifest,
    tags,
    metadata: plain(metadata),
  }
}

// zlib.crc32 came with Node.js 20.15 and 22.2
function checksumOf(bytes) {
  if (zlib.crc32 !== undefined) return zlib.crc32(bytes)
  let sum = ~0
  for (const byte of bytes) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (0xedb88320 & -(sum & 1))
  }
  return ~sum >>> 0
}

const vectors = (path) => JSON.parse(readFileSync(path, 'utf8')).records
const readAll = (path, read) => Object.fromEntries(vectors(path).map((each) => [each.name, read(each.value)]))
const [records, events] = process.argv.slice(2)
console.log(JSON.stringify({ records: readAll(records, journalRecord), events: readAll(events, publishedEvent) }))

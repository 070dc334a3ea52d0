/**
 * Shows the operations of a record's body, one after another, with what each says in full.
 *
 * It follows the section "Records" of `spec/format.md` and not the code of varve, so that the dump
 * in the spec is read as any other reader would. It looks at bodies that lie in one piece.
 */

import type { AnnotatedBytes } from './annotated-bytes.ts';

const names = [
  'stratum',
  'allocate',
  'archive',
  'free',
  'add basin',
  'add stratum',
  'add map',
  'drop map',
];

/** Shows the operations from `from` to `end`, but for those after the first `most`: gives their number. */
export function dumpOperations(
  bytes: AnnotatedBytes,
  from: number,
  end: number,
  most = Number.POSITIVE_INFINITY,
): number {
  const runs = { next: 0, count: 0, length: 0 };
  let count = 0;
  for (let at = from; at < end; count++) {
    const operation = readOperation(bytes, at, runs);
    if (count < most) bytes.field(at, operation.end - at, operation.name, operation.text);
    at = operation.end;
  }
  return Math.max(0, count - most);
}

function readOperation(
  bytes: AnnotatedBytes,
  at: number,
  runs: { next: number; count: number; length: number },
): { name: string; text: string; end: number } {
  const byte = bytes.uint(at, 1);
  const code = byte & 7;
  const isReplaced = code === 7 && (byte & 8) !== 0;
  const name = isReplaced ? 'replace map' : (names[code] ?? '');
  if (code >= 1 && code <= 3) return { name, ...readRun(bytes, at, runs) };
  if (code === 0) runs.next = 0;
  const wanted: [string, number][] = [['basin', 1]];
  if (code !== 4) wanted.push(['stratum', 1]);
  if (code === 5) wanted.push(['grain exponent', 1]);
  if (code >= 6) wanted.push(['first index', 6]);
  if (code === 6) wanted.push(['grains', 4], ['page', 6], ['further extents', 1]);
  if (isReplaced) wanted.push(['parts', 2]);
  let next = at + 1;
  const said: string[] = [];
  for (const [field, size] of wanted) {
    said.push(`${field} ${bytes.uint(next, size)}`);
    next += size;
  }
  const further = code === 6 ? bytes.uint(next - 1, 1) : 0;
  for (let extent = 0; extent < further; extent++) {
    said.push(`page ${bytes.uint(next, 6)} with ${bytes.uint(next + 6, 4)} pages`);
    next += 10;
  }
  const parts = isReplaced ? bytes.uint(next - 2, 2) : 0;
  for (let part = 0; part < parts; part++) {
    const [first, grains, page] = [
      bytes.uint(next, 6),
      bytes.uint(next + 6, 4),
      bytes.uint(next + 10, 6),
    ];
    said.push(`first index ${first} with ${grains} grains, page ${page}`);
    next += 16;
  }
  return { name, text: said.join(', '), end: next };
}

function readRun(
  bytes: AnnotatedBytes,
  at: number,
  runs: { next: number; count: number; length: number },
): { text: string; end: number } {
  const byte = bytes.uint(at, 1);
  const said: string[] = [];
  let end = at + 1;
  let index = runs.next;
  if ((byte & 8) === 0) {
    const distance = readVarint(bytes, end);
    const { value } = distance;
    index += value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    end = distance.end;
  } else said.push('adjacent');
  if ((byte & 16) === 0) {
    runs.count = bytes.uint(end, 1);
    const length = readVarint(bytes, end + 1);
    runs.length = length.value;
    end = length.end;
  } else said.push('alike');
  runs.next = index + runs.count;
  const text = [`index ${index}, count ${runs.count}, length ${runs.length}`];
  if ((byte & 32) !== 0) {
    said.push('carried');
    end += runs.length;
  } else if ((byte & 7) === 1) {
    text.push(`, crc 0x${bytes.uint(end, 4).toString(16).padStart(8, '0')}`);
    end += 4;
  }
  if (said.length > 0) text.push(` (${said.join(', ')})`);
  return { text: text.join(''), end };
}

function readVarint(bytes: AnnotatedBytes, at: number): { value: number; end: number } {
  let value = 0;
  let scale = 1;
  for (let end = at; ; scale *= 128) {
    const byte = bytes.uint(end, 1);
    end += 1;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return { value, end };
  }
}

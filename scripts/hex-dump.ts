/**
 * Writes the annotated dumps of two real stores into `spec/format.md`, between its markers:
 * `npm run spec`.
 *
 * Each dump is read by the tables of the spec itself (`spec-tables.ts`), from the newer header to
 * the last value; a test compares them with what stands in the spec. It checks no CRC.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { argv } from 'node:process';
import { pathToFileURL } from 'node:url';
import { AnnotatedBytes, hexOffset } from './annotated-bytes.ts';
import { exampleStore } from './example-store.ts';
import { dumpOperations } from './operation-dump.ts';
import { specTables } from './spec-tables.ts';
import { SpreadDump, spreadStore } from './spread-dump.ts';

const pageSize = 4096;
const grainsPerMarkPage = 16_256;
const markNames = ['free', 'continues', 'value', 'archived'];

/** The text of the spec with the dumps as they are now. */
export async function specWithDump(spec: string): Promise<string> {
  const tables = specTables(spec);
  const store = new StoreDump(new AnnotatedBytes(await exampleStore(), tables)).text();
  const spread = new SpreadDump(new AnnotatedBytes(await spreadStore(), tables)).text();
  return withSection(withSection(spec, 'hex dump', store), 'spread dump', spread);
}

/** The text of the spec with this between the markers of that name. */
function withSection(spec: string, name: string, text: string): string {
  const begin = `<!-- ${name}: begin -->\n`;
  const from = spec.indexOf(begin) + begin.length;
  const to = spec.indexOf(`<!-- ${name}: end -->`);
  if (from < begin.length || to < from) throw new Error(`the spec has no markers for the ${name}`);
  return `${spec.slice(0, from)}\n${text}\n${spec.slice(to)}`;
}

/** Walks one store that was closed, of one basin, one stratum, one map and one mark page. */
class StoreDump {
  readonly #bytes: AnnotatedBytes;
  readonly #parts: string[] = [];

  constructor(bytes: AnnotatedBytes) {
    this.#bytes = bytes;
  }

  text(): string {
    const { bytes } = this.#bytes;
    this.#parts.push(
      'The code of this repository made the store, with the clock stopped and the salt `a0 … a7`.',
      'Batch 1 stored two values. Batch 2 archived the first, stored a third and made it the embedded',
      'header. Batch 3 archived the second and moved the checkpoint to batch 2, which freed the first.',
      `Then the store was closed. The file has ${bytes.length.toLocaleString('en')} bytes.`,
      '',
      'Each line has an offset in the file, the bytes there, the name of their field, and its value.',
      'The name of a field in a nested structure begins with the name of that structure.',
    );
    this.#map(this.#basin(this.#root(this.#headers())));
    if (!this.#bytes.restIsZero()) throw new Error('the dump leaves out bytes that are not zero');
    this.#parts.push('', 'All other bytes of the file are zero.', '');
    return this.#parts.join('\n');
  }

  #section(title: string, ...words: string[]): void {
    this.#parts.push('', `### ${title}`, '', ...words, '', this.#bytes.block());
  }

  /** Gives the byte of the root. */
  #headers(): number {
    const rank = (copy: number): number =>
      this.#bytes.number('file header', 'generation', copy * pageSize);
    const newer = rank(1) > rank(0) ? 1 : 0;
    const at = newer * pageSize;
    this.#bytes.structure('file header', at);
    this.#section(`Copy ${newer} of the file header`, 'It has the higher generation, so it holds.');
    this.#bytes.structure('file header', pageSize - at);
    this.#section(
      `Copy ${1 - newer} of the file header`,
      'It was written just before and says the same.',
    );
    return this.#document(at + this.#bytes.offsetOf('file header', 'root'));
  }

  /** Where the document is that a name names. */
  #document(name: number): number {
    const field = (of: string): number => this.#bytes.number('document name', of, name);
    return (field('page') + (field('generation') % 2) * field('capacity pages')) * pageSize;
  }

  /** Gives the byte of the first basin. */
  #root(at: number): number {
    this.#bytes.structure('root', at);
    this.#section('The root', 'The header names it. Each of its two slots has one page.');
    const basins = at + this.#bytes.offsetOf('root', 'basins');
    const segments = basins + this.#bytes.number('root', 'basin count', at) * this.#nameBytes;
    this.#records(this.#bytes.number('retained segment', 'page', segments) * pageSize, segments);
    return this.#document(basins);
  }

  get #nameBytes(): number {
    return this.#bytes.offsetOf('document name', 'crc') + 4;
  }

  #records(segment: number, entry: number): void {
    const pages = this.#bytes.number('retained segment', 'pages', entry);
    const laneBytes = (pages * pageSize) / 2;
    const first = this.#bytes.number('retained segment', 'first batch', entry);
    const places = [segment, segment + laneBytes];
    for (let batch = first; ; batch++) {
      const at = places[batch % 2] ?? 0;
      if (this.#bytes.number('log sector', 'sector', at) === 0) return;
      places[batch % 2] = this.#record(batch, at);
    }
  }

  /** Shows a record of one sector; gives the end of it. */
  #record(batch: number, at: number): number {
    const payload = this.#bytes.structure('log sector', at, 'payload');
    const head = this.#bytes.structure('record head', payload);
    const operations = this.#bytes.structure('record body', head, 'operations');
    const bodyEnd = head + this.#bytes.number('record head', 'body bytes', payload);
    dumpOperations(this.#bytes, operations, bodyEnd);
    const sectors = this.#bytes.number('record head', 'sectors', payload);
    if (sectors !== 1) throw new Error(`the record of batch ${batch} has ${sectors} sectors`);
    const end = at + this.#bytes.offsetOf('log sector', 'payload') + 480;
    this.#bytes.field(bodyEnd, end - bodyEnd, 'unused');
    this.#section(
      `The record of batch ${batch}`,
      `It is the next record in lane ${batch % 2} of the segment that the root names.`,
    );
    return end;
  }

  /** Gives the bytes of the first stratum and its first map entry. */
  #basin(at: number): { stratum: number; map: number } {
    this.#bytes.structure('basin', at);
    this.#section('The basin', 'The root names it.');
    const stratum = at + this.#bytes.offsetOf('basin', 'strata');
    return { stratum, map: stratum + this.#bytes.offsetOf('stratum', 'maps') };
  }

  #map(entry: { stratum: number; map: number }): void {
    const field = (of: string): number => this.#bytes.number('map entry', of, entry.map);
    const page = field('page');
    const plain = field('grains') <= grainsPerMarkPage && field('further extent count') === 0;
    if (!plain) throw new Error('the dump is of a map in one extent that has no head');
    const marks = (page + (field('generation') % 2)) * pageSize;
    this.#bytes.structure('mark page', marks);
    const markBytes = marks + this.#bytes.offsetOf('mark page', 'marks');
    const lines = this.#runs(markBytes).map(
      ({ from, count, mark }) =>
        `- grain ${from}${count > 1 ? ` to ${from + count - 1}` : ''}: ${mark}, ${markNames[mark]}`,
    );
    const named = 'The basin names it, since a map of one mark page has no head. Its marks say:';
    this.#section('The mark page', named, '', ...lines);
    const grains = (page + 2) * pageSize;
    const exponent = this.#bytes.number('stratum', 'grain exponent', entry.stratum);
    this.#values(this.#runs(markBytes), grains, 2 ** exponent);
  }

  /** Grains of one mark after another, up to the last that is not free. */
  #runs(marks: number): { from: number; count: number; mark: number }[] {
    const runs: { from: number; count: number; mark: number }[] = [];
    for (let grain = 0; grain < grainsPerMarkPage; grain++) {
      const byte = this.#bytes.uint(marks + Math.floor(grain / 4), 1);
      const mark = (byte >>> ((grain % 4) * 2)) & 3;
      const last = runs.at(-1);
      if (last?.mark === mark && mark < 2) last.count += 1;
      else runs.push({ from: grain, count: 1, mark });
    }
    if (runs.at(-1)?.mark === 0) runs.pop();
    return runs;
  }

  #values(
    runs: readonly { from: number; count: number; mark: number }[],
    grains: number,
    grainBytes: number,
  ): void {
    let shown = grains;
    for (const [at, { from, count, mark }] of runs.entries()) {
      const offset = grains + from * grainBytes;
      if (mark === 0) {
        this.#bytes.field(offset, count * grainBytes, `grain ${from}: free`);
        shown = offset + count * grainBytes;
      }
      if (mark < 2) continue;
      const next = runs[at + 1];
      const more = next?.mark === 1 ? next.count : 0;
      const valueEnd = this.#bytes.structure('value', offset);
      shown = offset + (1 + more) * grainBytes;
      this.#bytes.field(valueEnd, shown - valueEnd, 'padding');
    }
    this.#section(
      'The grains',
      `They begin at ${hexOffset(grains)} and have ${grainBytes} bytes each. The first is free and`,
      'holds zeros: its value was freed before a settle wrote it there.',
    );
  }
}

const [, script, path] = argv;
if (script !== undefined && import.meta.url === pathToFileURL(script).href) {
  if (path === undefined) throw new Error('usage: hex-dump <the spec>');
  const spec = readFileSync(path, 'utf8');
  writeFileSync(path, await specWithDump(spec));
}

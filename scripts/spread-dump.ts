/**
 * The second dump in `spec/format.md`: a store with a body outside of its lane, a map that has a
 * head and lies in two extents, and a value that goes on from one to the other.
 *
 * The store is made by the code of varve, the same bytes every time, but for the place of the map,
 * which is chosen here so that the example is short. The dump is read by the tables of the spec. It
 * shows what the first dump does not have, and leaves out the rest.
 */

import { type FileSystem, memoryFileSystem } from '../src/index.ts';
import { addMapTo, labPath, openLab } from '../test/support/fixtures/core-lab.ts';
import { type AnnotatedBytes, hexOffset } from './annotated-bytes.ts';
import { fixSaltAndClock } from './example-store.ts';
import { dumpOperations } from './operation-dump.ts';

const pageSize = 4096;
/** Two mark pages, so that there is a head. */
const grains = 16_300;
/** The first extent has the pages before the grains, and one page of these. */
const furtherPages = 127;
const longBytes = 4200;
const emptyValues = 900;
const operationsShown = 8;

/** Every byte of the store, closed. */
export async function spreadStore(): Promise<Uint8Array> {
  const fileSystem = memoryFileSystem();
  const restore = fixSaltAndClock();
  try {
    const lab = await openLab({ fileSystem });
    addMapTo(lab.core, { grains, further: [furtherPages] });
    const session = lab.session();
    session.push(longValue());
    for (let count = 0; count < emptyValues; count++) session.push(new Uint8Array());
    await session.commit();
    await lab.close();
  } finally {
    restore();
  }
  return await contentOf(fileSystem);
}

/** Zeros, but for a text at the start and one where the first extent ends. */
function longValue(): Uint8Array {
  const bytes = new Uint8Array(longBytes);
  const text = new TextEncoder();
  bytes.set(text.encode('A long layer.'));
  const seam = text.encode('It goes on here.');
  bytes.set(seam, pageSize - 8 - seam.length / 2);
  return bytes;
}

async function contentOf(fileSystem: FileSystem): Promise<Uint8Array> {
  const file = await fileSystem.open(labPath, { create: false, exclusive: false, readOnly: true });
  const bytes = new Uint8Array(file.length());
  file.readSync(bytes, 0);
  await file.close();
  return bytes;
}

/** Walks that store. */
export class SpreadDump {
  readonly #bytes: AnnotatedBytes;
  readonly #parts: string[] = [];

  constructor(bytes: AnnotatedBytes) {
    this.#bytes = bytes;
  }

  text(): string {
    this.#parts.push(
      `One batch stored a value of ${longBytes.toLocaleString('en')} bytes, nearly all of them zeros, and ${emptyValues} empty ones. Then`,
      `the store was closed. The map of ${grains.toLocaleString('en')} grains was made for this page: this writer gives a`,
      'head only to maps of eight mark pages or more. The header is left out.',
    );
    const { basin, segment } = this.#root();
    this.#record(segment);
    const map = this.#basin(basin);
    this.#marks(map, this.#head(map));
    this.#value(map);
    this.#parts.push('');
    return this.#parts.join('\n');
  }

  #section(title: string, ...words: string[]): void {
    this.#parts.push('', `### ${title}`, '', ...words, '', this.#bytes.block());
  }

  /** Where the document is that a name names. */
  #document(name: number): number {
    const field = (of: string): number => this.#bytes.number('document name', of, name);
    return (field('page') + (field('generation') % 2) * field('capacity pages')) * pageSize;
  }

  /** Gives the byte of the basin and that of the segment. */
  #root(): { basin: number; segment: number } {
    const rank = (copy: number): number =>
      this.#bytes.number('file header', 'generation', copy * pageSize);
    const header = rank(1) > rank(0) ? pageSize : 0;
    const root = this.#document(header + this.#bytes.offsetOf('file header', 'root'));
    const end = this.#bytes.structure('root', root);
    this.#section('A root that retains a body', 'The body of batch 1 has an extent of its own.');
    const bodyBytes = 16;
    const segment = this.#bytes.number('retained segment', 'page', end - 2 * bodyBytes) * pageSize;
    return { basin: this.#document(root + this.#bytes.offsetOf('root', 'basins')), segment };
  }

  #record(segment: number): void {
    const laneBytes = 8 * pageSize;
    const at = segment + laneBytes;
    const payload = this.#bytes.structure('log sector', at, 'payload');
    const head = this.#bytes.structure('record head', payload);
    const end = at + this.#bytes.offsetOf('log sector', 'payload') + 480;
    this.#bytes.field(head, end - head, 'unused');
    this.#section(
      'A record whose body is outside',
      'Its one sector is the first of lane 1. It has the head, and no byte of the body.',
    );
    const field = (of: string): number => this.#bytes.number('record head', of, payload);
    const body = field('page') * pageSize;
    const bodyEnd = body + field('body bytes');
    const operations = this.#bytes.structure('record body', body, 'operations');
    const more = dumpOperations(this.#bytes, operations, bodyEnd, operationsShown);
    this.#section(
      'The body outside',
      `It ends before ${hexOffset(bodyEnd)}, and has ${more} more operations like the last one shown, each with a`,
      'crc of its own. The bytes after it in its extent have no meaning.',
    );
  }

  /** Gives the byte of the map entry. */
  #basin(at: number): number {
    this.#bytes.structure('basin', at);
    this.#section(
      'A basin with a map in two extents',
      'Generation and crc of the map entry are those of the head. The first extent begins on its page;',
      'it has the pages of the map that the further extent does not have: 2 + 2 · 2 + 128 − 127 = 7.',
    );
    return at + this.#bytes.offsetOf('basin', 'strata') + this.#bytes.offsetOf('stratum', 'maps');
  }

  #entry(map: number, field: string): number {
    return this.#bytes.number('map entry', field, map);
  }

  /** Gives the byte of the head. */
  #head(map: number): number {
    const at = (this.#entry(map, 'page') + (this.#entry(map, 'generation') % 2)) * pageSize;
    this.#bytes.structure('map head', at);
    this.#section(
      'The map head',
      'The second mark page was never written: its generation is 0, and all of its 44 grains are free,',
      'whatever its name says.',
    );
    return at;
  }

  #marks(map: number, head: number): void {
    const name = head + this.#bytes.offsetOf('map head', 'mark pages');
    const generation = this.#bytes.number('mark page name', 'generation', name);
    const at = (this.#entry(map, 'page') + 2 + (generation % 2)) * pageSize;
    this.#bytes.structure('mark page', at);
    this.#section(
      'The first mark page',
      'Two slots of the head come before it. Grains 0 to 131 are the long value: `56` is one mark 2 and three',
      'marks 1, `55` four marks 1. Each `aa` is four values of one grain.',
    );
  }

  #value(map: number): void {
    const first = (this.#entry(map, 'page') + 6) * pageSize;
    const extents = map + this.#bytes.offsetOf('map entry', 'further extents');
    const further = this.#bytes.number('map extent', 'page', extents) * pageSize;
    const bytes = this.#bytes.structure('value', first, 'bytes');
    const end = first + pageSize;
    const rest = 8 + this.#bytes.number('value', 'length', first) - pageSize;
    this.#bytes.field(bytes, end - bytes, 'bytes');
    this.#bytes.field(further, rest, 'bytes, going on');
    this.#section(
      'A value in two extents',
      `Its first 128 grains fill the last page of the first extent. It goes on at ${hexOffset(further)}, where the`,
      'further extent begins.',
    );
  }
}

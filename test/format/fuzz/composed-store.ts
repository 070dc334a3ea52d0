/**
 * Whole stores made up of arbitrary structures: each is as its encoder makes it and named rightly
 * by its parent, while the numbers in it (places, lengths, counts, batches) may be anything.
 *
 * Invariant: every checksum is right. Nothing makes sure that the structures fit each other, or the
 * file, which is as small as they allow.
 */

import fc from 'fast-check';
import { type Basin, encodeBasin } from '../../../src/format/basin.ts';
import { type DocumentName, noDocument, sealDocument } from '../../../src/format/document.ts';
import { encodeFileHeader, type FileHeader } from '../../../src/format/file-header.ts';
import { GrainId } from '../../../src/format/grain-id.ts';
import {
  firstSegmentPage,
  headerCopies,
  kindBasin,
  kindRoot,
  pageBytes,
  sectorBytes,
  sectorsPerPage,
  segmentPagesMin,
} from '../../../src/format/layout.ts';
import type { LogOperation } from '../../../src/format/log-record.ts';
import { encodeRecordSectors } from '../../../src/format/log-sector.ts';
import { encodeRoot, type Root } from '../../../src/format/root.ts';
import { basin, fileHeader, operations, root, salt, u48, upTo } from '../arbitraries.ts';
import { recordBody } from '../record-bodies.ts';

export interface Composition {
  readonly basins: readonly Basin[];
  /** Segments and bodies of the retained log. */
  readonly log: Pick<Root, 'segments' | 'bodies'>;
  readonly header: FileHeader;
  /** What the header names besides the segment that is there. */
  readonly further: FileHeader['segments'];
  readonly records: readonly (readonly LogOperation[])[];
}

const noLog = { segments: [], bodies: [] };
const epoch = 2;
const generation = 4;
/** Where the first records go. */
export const firstLanes: readonly [number, number] = [
  firstSegmentPage * sectorsPerPage,
  (firstSegmentPage + segmentPagesMin / 2) * sectorsPerPage,
];

/** Checkpoint and base, small or extreme. */
const batches = fc
  .oneof(fc.constant<[number, number]>([0, 0]), fc.tuple(upTo(9), upTo(9)), fc.tuple(u48, u48))
  .map(([one, other]) => ({ checkpoint: Math.min(one, other), base: Math.max(one, other) }));

/** Now and then what is arbitrary altogether, else what is sound. */
function seldom<T>(odd: fc.Arbitrary<T>, sound: T): fc.Arbitrary<T> {
  return fc.oneof({ arbitrary: fc.constant(sound), weight: 6 }, { arbitrary: odd, weight: 1 });
}

export const composition: fc.Arbitrary<Composition> = fc
  .record({
    basins: fc.array(basin, { maxLength: 2 }),
    log: fc.oneof(fc.constant(noLog), root),
    header: fileHeader,
    salt,
    batches,
    lanes: seldom(fc.tuple(u48, u48), firstLanes),
    further: seldom(
      fileHeader.map(({ segments }) => segments.slice(0, 30)),
      [],
    ),
    records: fc.oneof(fc.constant([]), fc.array(operations, { maxLength: 3 })),
  })
  .map(({ batches: { checkpoint, base }, lanes: laneSectors, header, ...rest }) => {
    const numbers = { checkpoint, base, confirmed: base, generation, epoch, laneSectors };
    return { ...rest, header: { ...header, ...numbers, salt: rest.salt } };
  });

/** The file, and the first and last grain of some of its maps. */
export function composeStore(composed: Composition): { image: Uint8Array; ids: GrainId[] } {
  const { basins, header, log, further } = composed;
  const file = new Composer(header);
  for (const record of composed.records) file.addRecord(record);
  const names = basins.map((content) => file.addDocument(kindBasin, encodeBasin(content)));
  const isNew = header.base === 0;
  const { embeddedHeader } = header;
  const content = { embeddedHeader, basins: names, segments: log.segments, bodies: log.bodies };
  const rootName = isNew ? noDocument : file.addDocument(kindRoot, encodeRoot(content));
  const segments = [{ page: firstSegmentPage, pages: segmentPagesMin }, ...further];
  const image = file.finish({ ...header, root: rootName, segments });
  return { image, ids: isNew ? [] : idsOf(basins) };
}

function idsOf(basins: readonly Basin[]): GrainId[] {
  const ids: GrainId[] = [];
  for (const [at, { strata }] of basins.entries()) {
    for (const [stratum, { maps }] of strata.entries()) {
      for (const { firstIndex, grains } of maps.slice(0, 2)) {
        ids.push(GrainId.of(at, stratum, firstIndex));
        ids.push(GrainId.of(at, stratum, firstIndex + grains - 1));
      }
    }
  }
  return ids;
}

class Composer {
  readonly #header: FileHeader;
  readonly #parts: { readonly offset: number; readonly bytes: Uint8Array }[] = [];
  readonly #positions: [number, number];
  #batch: number;
  #page: number = firstSegmentPage + segmentPagesMin;

  constructor(header: FileHeader) {
    this.#header = header;
    this.#positions = [...firstLanes];
    this.#batch = header.base;
  }

  addDocument(kind: number, bytes: Uint8Array): DocumentName {
    const page = this.#page;
    const capacityPages = Math.ceil(bytes.length / pageBytes);
    this.#page += 2 * capacityPages;
    const place = { kind, page, capacityPages, generation, stamp: this.#header.base };
    const name = sealDocument(bytes, place, this.#header.salt);
    this.#parts.push({ offset: page * pageBytes, bytes });
    return name;
  }

  /** Adds the record of the next batch; one that is too long for its lane ends in the next. */
  addRecord(list: readonly LogOperation[]): void {
    this.#batch += 1;
    const lane = this.#batch % firstLanes.length;
    const sector = this.#positions[lane] as number;
    const before = {
      batch: this.#batch,
      committedAt: 5,
      embeddedHeader: 0n,
      checkpoint: this.#header.checkpoint,
      retainedLogBytes: 0,
    };
    const place = { epoch, batch: this.#batch, sector };
    const { salt: ownSalt } = this.#header;
    const bytes = encodeRecordSectors(
      recordBody(before, list.map(nearby)),
      place,
      undefined,
      ownSalt,
    );
    this.#positions[lane] = sector + bytes.length / sectorBytes;
    this.#parts.push({ offset: sector * sectorBytes, bytes });
  }

  finish(header: FileHeader): Uint8Array {
    const image = new Uint8Array(this.#page * pageBytes);
    for (const { offset, bytes } of this.#parts) image.set(bytes, offset);
    for (let copy = 0; copy < headerCopies; copy++) {
      const bytes = encodeFileHeader({ ...header, generation: header.generation + copy });
      image.set(bytes, copy * pageBytes);
    }
    return image;
  }
}

/** In one of the few basins and strata that there may be. */
function nearby(one: LogOperation): LogOperation {
  if (!('basin' in one)) return one;
  const near = { ...one, basin: one.basin % 2 };
  return 'stratum' in near ? { ...near, stratum: near.stratum % 4 } : near;
}

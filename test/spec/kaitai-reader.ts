/**
 * Reads a store through `spec/format.ksy`: compiles it and gives what is in a file as plain data.
 *
 * Invariant: what it gives comes from the description alone; the code of varve is not asked. It
 * judges nothing: of the records after the settled base it takes each that stands there. Only
 * what the language cannot say is said here: which grains begin a value, where a logged value
 * lies, and how one is read that may lie in several extents.
 */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { runInThisContext } from 'node:vm';
import { parse } from 'yaml';
import { type KaitaiDropMap, type Part, Places, partsOf, type U48 } from './kaitai-places.ts';

const loadModule = createRequire(import.meta.url);

interface KaitaiName {
  readonly generation: number;
}
interface KaitaiValue {
  readonly length: number;
  readonly crc: number;
  readonly data: Uint8Array;
}
interface KaitaiGrain {
  readonly mark: number;
  readonly isValue: boolean;
  readonly index: number;
  /** Undefined in a map of more than one extent. */
  readonly value: KaitaiValue | undefined;
}
interface KaitaiMap {
  readonly firstIndex: U48;
  readonly numGrains: number;
  readonly page: U48;
  readonly generation: number;
  readonly overheadPages: number;
  readonly numPages: number;
  readonly furtherExtents: readonly { readonly page: U48; readonly pages: number }[];
  readonly hasHead: boolean;
  readonly head: object | undefined;
  readonly markPages: readonly KaitaiMarkPage[];
}
interface KaitaiMarkPage {
  readonly generation: number;
  readonly grains: readonly KaitaiGrain[] | undefined;
}
interface KaitaiStratum {
  readonly grainExp: number;
  readonly numValues: U48;
  readonly numArchivedValues: U48;
  readonly valueBytes: U48;
  readonly maps: readonly KaitaiMap[];
}
interface KaitaiGrainId {
  readonly index: U48;
  readonly stratum: number;
  readonly basin: number;
  readonly isNone: boolean;
}
interface KaitaiOperation {
  readonly operation: number;
  readonly isRun: boolean;
  readonly basin: number;
  readonly stratum: number;
  readonly index: number;
  readonly count: number;
  readonly length: number;
  readonly isCarried: boolean;
  readonly valueCrc: U48;
  readonly valueBytes: readonly U48[];
  readonly structure: unknown;
}
export interface KaitaiRecord {
  readonly isRecord: boolean;
  readonly head: { readonly place: number; readonly numSectors: number };
  readonly body: {
    readonly batch: U48;
    readonly committedAt: U48;
    readonly embeddedHeader: KaitaiGrainId;
    readonly checkpoint: U48;
    readonly operations: readonly KaitaiOperation[] | undefined;
  };
}
interface KaitaiLanes {
  readonly even: { readonly records: readonly KaitaiRecord[] | undefined };
  readonly odd: { readonly records: readonly KaitaiRecord[] | undefined };
}
interface KaitaiStore {
  readonly header: {
    readonly isHeader: boolean;
    readonly clean: number;
    readonly generation: U48;
    readonly base: U48;
    readonly checkpoint: U48;
    readonly embeddedHeader: KaitaiGrainId;
  };
  readonly rootDocument:
    | {
        readonly basinNames: readonly KaitaiName[];
        readonly basins: readonly {
          readonly document: { readonly strata: readonly KaitaiStratum[] } | undefined;
        }[];
        readonly segments: readonly KaitaiLanes[];
      }
    | undefined;
  readonly log: readonly KaitaiLanes[];
}

/** The classes that the compiler made. */
interface Compiled {
  new (stream: object): KaitaiStore;
  readonly Mark: Readonly<Record<'VALUE' | 'ARCHIVED', number>>;
  readonly OperationCode: Readonly<
    Record<'ALLOCATE' | 'ARCHIVE' | 'FREE' | 'ADD_STRATUM' | 'ADD_MAP' | 'DROP_MAP', number>
  >;
  readonly BodyPlace: Readonly<Record<'INLINE' | 'EXTENT', number>>;
  readonly Value: new (stream: object) => KaitaiValue;
}

type StreamClass = new (buffer: ArrayBuffer, offset: number) => object;
const Stream = loadModule('kaitai-struct/KaitaiStream') as StreamClass;

/** Compiles the description. */
export async function compileKsy(path: URL): Promise<Compiled> {
  const compiler = loadModule('kaitai-struct-compiler') as {
    compile(
      language: string,
      description: unknown,
      importer: undefined,
      debug: boolean,
    ): Promise<Record<string, string>>;
  };
  const description: unknown = parse(readFileSync(path, 'utf8'));
  const files = await compiler.compile('javascript', description, undefined, false);
  const source = files['Varve.js'];
  if (source === undefined) throw new Error(`the compiler made ${Object.keys(files).join(', ')}`);
  const module: { exports: { Varve?: Compiled } } = { exports: {} };
  const run = runInThisContext(`(function (module, exports, require) {${source}\n})`) as (
    ...scope: unknown[]
  ) => void;
  run(module, module.exports, loadModule);
  if (module.exports.Varve === undefined) throw new Error('the compiled module exports no Varve');
  return module.exports.Varve;
}

/** A value as found in the file; its id in the text form of `GrainId.format`. */
export interface FoundValue {
  readonly id: string;
  readonly archived: boolean;
  /** Undefined if a record carries the value. */
  readonly crc: number | undefined;
  readonly data: Uint8Array;
}

/** One store file, read through the description. */
export class KaitaiReader {
  readonly store: KaitaiStore;
  readonly #classes: Compiled;
  readonly #bytes: Uint8Array<ArrayBuffer>;

  constructor(classes: Compiled, bytes: Uint8Array) {
    this.#bytes = bytes.slice();
    this.#classes = classes;
    this.store = new classes(new Stream(this.#bytes.buffer, 0));
  }

  get strata(): KaitaiStratum[] {
    return (this.store.rootDocument?.basins ?? []).flatMap(
      ({ document }) => document?.strata ?? [],
    );
  }

  /** Every value that the marks name, as of the settled base. */
  settledValues(): Map<string, FoundValue> {
    const found = new Map<string, FoundValue>();
    const places = this.#places();
    for (const [basin, { document }] of (this.store.rootDocument?.basins ?? []).entries()) {
      for (const [stratum, { maps }] of (document?.strata ?? []).entries()) {
        for (const { markPages } of maps) {
          for (const grain of markPages.flatMap(({ grains }) => grains ?? [])) {
            if (!grain.isValue) continue;
            const id = `${basin}-${stratum}-${grain.index}`;
            const archived = grain.mark === this.#classes.Mark.ARCHIVED;
            const gathered = (): KaitaiValue =>
              this.#gather(places.of(basin, stratum, grain.index));
            const { crc, data } = grain.value ?? gathered();
            found.set(id, { id, archived, crc, data });
          }
        }
      }
    }
    return found;
  }

  /** The value that begins with `parts`, put together from them. */
  #gather(parts: readonly Part[]): KaitaiValue {
    const all: Uint8Array[] = [];
    let room = this.#bytes.length;
    for (const { offset, bytes } of parts) {
      all.push(this.#bytes.subarray(offset, offset + Math.min(bytes, room)));
      room -= Math.min(bytes, room);
    }
    const [first = new Uint8Array()] = all;
    const length = new DataView(first.buffer, first.byteOffset).getUint32(0, true);
    const value = Uint8Array.from(Buffer.concat(all, 8 + length));
    return new this.#classes.Value(new Stream(value.buffer, 0));
  }

  /** The records in these segments, by batch. */
  #records(segments: readonly KaitaiLanes[]): KaitaiRecord[] {
    return segments
      .flatMap(({ even, odd }) => [...(even.records ?? []), ...(odd.records ?? [])])
      .filter(({ isRecord }) => isRecord)
      .sort((one, other) => one.body.batch.value - other.body.batch.value);
  }

  /** The records after the settled base. */
  unsettledRecords(): KaitaiRecord[] {
    return this.#records(this.store.log);
  }

  /** The records in the segments that the root names, those before the checkpoint among them. */
  retainedRecords(): KaitaiRecord[] {
    return this.#records(this.store.rootDocument?.segments ?? []);
  }

  isOutside(record: KaitaiRecord): boolean {
    return record.head.place === this.#classes.BodyPlace.EXTENT;
  }

  /** The changes of a record to values: operation, id and count. */
  changesOf(record: KaitaiRecord): { operation: string; id: string; count: number }[] {
    const { ALLOCATE, ARCHIVE } = this.#classes.OperationCode;
    const changes: { operation: string; id: string; count: number }[] = [];
    // In order, since each operation follows from the one before.
    for (const found of record.body.operations ?? []) {
      const { isRun, operation, basin, stratum, index, count } = found;
      if (!isRun) continue;
      const otherName = operation === ARCHIVE ? 'archive' : 'free';
      const name = operation === ALLOCATE ? 'allocate' : otherName;
      changes.push({ operation: name, id: `${basin}-${stratum}-${index}`, count });
    }
    return changes;
  }

  /** The first index of each map that the record drops, or replaces by parts. */
  droppedMaps(record: KaitaiRecord, replaced = false): number[] {
    const { DROP_MAP } = this.#classes.OperationCode;
    return (record.body.operations ?? [])
      .filter(({ operation }) => operation === DROP_MAP)
      .map(({ structure }) => structure as KaitaiDropMap)
      .filter(({ isReplaced }) => isReplaced === replaced)
      .map(({ firstIndex }) => firstIndex.value);
  }

  /** Every value as of the last record: the settled ones, with the log since applied. */
  values(): Map<string, FoundValue> {
    const found = this.settledValues();
    const codes = this.#classes.OperationCode;
    const places = this.#places();
    for (const record of this.unsettledRecords()) {
      for (const operation of record.body.operations ?? []) {
        if (operation.operation === codes.ADD_STRATUM) places.addStratum(operation.structure);
        if (operation.operation === codes.ADD_MAP) places.addMap(operation.structure);
        if (operation.operation === codes.DROP_MAP) {
          places.dropMap(operation.structure as KaitaiDropMap);
          this.#move(found, places, operation.structure as KaitaiDropMap);
        }
        if (!operation.isRun) continue;
        const { basin, stratum, index } = operation;
        const id = `${basin}-${stratum}-${index}`;
        const before = found.get(id);
        if (operation.operation === codes.FREE) found.delete(id);
        else if (operation.operation === codes.ALLOCATE) {
          found.set(id, { id, archived: false, ...this.#allocated(operation, places) });
        } else if (before !== undefined) found.set(id, { ...before, archived: true });
      }
    }
    return found;
  }

  /** Reads the values of a replaced map in its parts, which have all of them. */
  #move(found: Map<string, FoundValue>, places: Places, map: KaitaiDropMap): void {
    for (const part of map.parts ?? []) {
      for (const [id, value] of found) {
        const [basin, stratum, index = 0] = id.split('-').map(Number);
        const from = part.firstIndex.value;
        if (basin !== map.basin.value || stratum !== map.stratum.value) continue;
        if (index < from || index >= from + part.numGrains.value) continue;
        const { crc, data } = this.#gather(places.of(basin, stratum, index));
        found.set(id, { ...value, crc, data });
      }
    }
  }

  /** The value that an operation allocates: a carried one is that of the record. */
  #allocated(operation: KaitaiOperation, places: Places): Pick<FoundValue, 'crc' | 'data'> {
    const { basin, stratum, index, isCarried, valueBytes } = operation;
    if (isCarried) {
      return { crc: undefined, data: Uint8Array.from(valueBytes, ({ value }) => value) };
    }
    const { crc, data } = this.#gather(places.of(basin, stratum, index));
    return { crc, data };
  }

  #places(): Places {
    const places = new Places();
    for (const [basin, { document }] of (this.store.rootDocument?.basins ?? []).entries()) {
      for (const [stratum, { grainExp, maps }] of (document?.strata ?? []).entries()) {
        places.add(basin, stratum, grainExp);
        for (const map of maps) {
          const { numGrains: grains, overheadPages, numPages, furtherExtents } = map;
          const further = furtherExtents.map(({ page, pages }) => ({ page: page.value, pages }));
          const parts = partsOf({ page: map.page.value, numPages, overheadPages }, further);
          places.stretch(basin, stratum, { from: map.firstIndex.value, grains, parts });
        }
      }
    }
    return places;
  }
}

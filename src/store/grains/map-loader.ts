/**
 * Reads the heads and mark pages of a stratum's grain maps, and heals damaged ones.
 *
 * Invariant: the result has the content that the parent names. If that page is damaged, the
 * previous generation (its twin, in the other slot) is read, and all later changes are applied from
 * the commit log. Without the twin, or if a checkpoint has freed that log, the damage is
 * `VARVE_CORRUPT`. The next settle writes a healed page to the damaged slot, not over the good
 * twin.
 */

import { corrupt, isVarveError } from '../../errors.ts';
import { decodeMapHead, mapHeadPage, markPagePage, openMarkPage } from '../../format/grain-map.ts';
import { kindMap, kindMarks, pageBytes, sealBytes } from '../../format/layout.ts';
import { readSeal } from '../../format/seal.ts';
import type { PageSource } from '../file/page-source.ts';
import { clearRun } from './bit-runs.ts';
import type { GrainMap } from './grain-map.ts';
import { MarkPage } from './mark-page.ts';

export class MapLoader {
  readonly #stratum: { readonly basin: number; readonly number: number };
  readonly #source: PageSource;
  /** Maps whose head was healed: their pages hold the batches up to this one. */
  readonly #behind = new Map<GrainMap, number>();

  constructor(stratum: { readonly basin: number; readonly number: number }, source: PageSource) {
    this.#stratum = stratum;
    this.#source = source;
  }

  /**
   * Opens a map. Returns true if its head was healed: then load all pages and mark them dirty,
   * since the twin has older names of them. Throws `VARVE_CORRUPT`, `VARVE_IO`.
   */
  open(map: GrainMap): boolean {
    if (map.opened) return false;
    const { generation, crc } = map;
    if (generation === 0 || !map.hasHead) {
      map.open(generation === 0 ? undefined : [map.singleName()]);
      return false;
    }
    const page = mapHeadPage(map.page, generation);
    try {
      map.open(this.#head(map, { page, generation, crc }).pages);
    } catch (error) {
      const newer = this.#newer(kindMap, mapHeadPage(map.page, 0), generation);
      if (newer === undefined) this.#openTwin(map, error);
      else map.open(this.#head(map, newer).pages);
    }
    return this.#behind.has(map);
  }

  /**
   * Beside a writer: the newer slot, if the writer has replaced the named generation since.
   *
   * A page with a stamp up to `newerThan` is not used: it may be of an earlier map at this place,
   * since a seal does not name its map. The reader proves that the map has not been dropped since.
   */
  #newer(
    kind: number,
    firstSlot: number,
    generation: number,
  ): { page: number; generation: number; crc: number } | undefined {
    const { newerThan } = this.#source;
    if (newerThan === undefined) return undefined;
    let newest: { page: number; generation: number; crc: number } | undefined;
    for (const page of [firstSlot, firstSlot + 1]) {
      const found = readSeal(this.#source.readPage(page), { kind, page }, this.#source.salt);
      if (typeof found === 'string' || found.seal.generation <= generation) continue;
      if (found.seal.stamp <= newerThan) continue;
      if (found.seal.generation <= (newest?.generation ?? 0)) continue;
      newest = { page, generation: found.seal.generation, crc: found.crc };
    }
    return newest;
  }

  #head(map: GrainMap, name: { page: number; generation: number; crc: number }) {
    const head = decodeMapHead(this.#source.readPage(name.page), name, this.#source.salt);
    if (head.firstIndex === map.firstIndex && head.grains === map.grains) return head;
    throw corrupt('the head of a grain map does not match its basin', {
      offset: name.page * pageBytes,
      expected: `${map.grains} from ${map.firstIndex}`,
      actual: `${head.grains} from ${head.firstIndex}`,
    });
  }

  #openTwin(map: GrainMap, error: unknown): void {
    const page = mapHeadPage(map.page, map.generation - 1);
    const twin = this.#twin({ kind: kindMap, page }, map.generation - 1, error);
    const generation = map.generation - 1;
    const head = twin === undefined ? undefined : this.#head(map, { page, generation, ...twin });
    const stamp = head?.stamp ?? 0;
    if (this.#source.history.after(stamp) === undefined) throw error;
    map.open(head?.pages);
    this.#behind.set(map, stamp);
    map.damaged = true;
    const offset = mapHeadPage(map.page, generation + 1) * pageBytes;
    this.#source.history.healed(`the head of a grain map, at byte ${offset}, was damaged`);
  }

  /**
   * The CRC of the previous generation; undefined if there was none. Throws `error`, the damage, if
   * the twin cannot heal it.
   */
  #twin(
    at: { kind: number; page: number },
    generation: number,
    error: unknown,
  ): { crc: number } | undefined {
    if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
    if (generation === 0) return undefined;
    const found = readSeal(this.#source.readPage(at.page), at, this.#source.salt);
    if (typeof found === 'string' || found.seal.generation !== generation) throw error;
    return { crc: found.crc };
  }

  /**
   * Loads one mark page of the map. Returns true if it was healed: a settle must write it. Throws
   * `VARVE_CORRUPT`, `VARVE_IO`.
   */
  load(map: GrainMap, page: MarkPage): boolean {
    if (page.loaded) return false;
    try {
      return this.#load(map, page);
    } catch (error) {
      page.forget();
      throw error;
    }
  }

  #load(map: GrainMap, page: MarkPage): boolean {
    const behind = this.#behind.get(map);
    try {
      const { marks, stamp } = this.#marks(map, page, page.name);
      if (behind === undefined) page.load(marks, stamp);
      else this.#catchUp(page, marks, Math.max(behind, stamp));
      page.check(map.page * pageBytes);
      return behind !== undefined;
    } catch (error) {
      if (page.loaded) throw error;
      const firstSlot = markPagePage(map, page.ordinal, 0);
      const newer = this.#newer(kindMarks, firstSlot, page.name.generation);
      if (newer === undefined) this.#loadTwin(map, page, error);
      else {
        const { marks, stamp } = this.#marks(map, page, newer);
        page.load(marks, stamp);
      }
      return newer === undefined;
    }
  }

  #marks(
    map: GrainMap,
    page: MarkPage,
    { generation, crc }: { generation: number; crc: number },
  ): { marks: Uint8Array | undefined; stamp: number } {
    if (generation === 0) return { marks: undefined, stamp: 0 };
    const at = markPagePage(map, page.ordinal, generation);
    const bytes = this.#source.readPage(at);
    const { stamp } = openMarkPage(bytes, { page: at, generation, crc }, this.#source.salt);
    return { marks: bytes.subarray(sealBytes), stamp };
  }

  #loadTwin(map: GrainMap, page: MarkPage, error: unknown): void {
    const generation = page.name.generation - 1;
    const at = markPagePage(map, page.ordinal, generation);
    const twin = this.#twin({ kind: kindMarks, page: at }, generation, error);
    const { marks, stamp } = this.#marks(map, page, { generation, crc: twin?.crc ?? 0 });
    if (this.#source.history.after(stamp) === undefined) throw error;
    this.#catchUp(page, marks, stamp);
    page.check(at * pageBytes);
    page.damaged = true;
    const offset = markPagePage(map, page.ordinal, generation + 1) * pageBytes;
    this.#source.history.healed(`a mark page, at byte ${offset}, was damaged`);
  }

  /** Loads older marks and applies every later change from the log. */
  #catchUp(page: MarkPage, marks: Uint8Array | undefined, stamp: number): void {
    const { ordinal, firstIndex, grains } = page;
    const scratch = new MarkPage({ ordinal, firstIndex, grains }, page.name);
    scratch.load(marks, stamp);
    let reached = stamp;
    for (const record of this.#source.history.after(stamp) ?? []) {
      reached = record.batch;
      for (const change of record.operations) {
        if (!('count' in change)) continue;
        if (change.basin !== this.#stratum.basin || change.stratum !== this.#stratum.number)
          continue;
        const at = change.index - firstIndex;
        if (at < 0 || at >= grains) continue;
        if (change.operation === 'allocate') scratch.commitValue(at, change.count);
        else if (change.operation === 'archive') scratch.archiveValue(at);
        else {
          scratch.clearValue(at, change.count);
          clearRun(scratch.taken, at, change.count);
        }
      }
    }
    page.load(scratch.marks, reached);
  }
}

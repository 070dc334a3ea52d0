/**
 * Some mark pages at a time: their newest marks as they were found, with the log applied.
 *
 * Invariants:
 * - Marks are looked for by index, not by map: a part that has none yet has those of the map that
 *   it has replaced. For each grain the marks with the latest stamp count.
 * - Marks are known to be the newest if a name that is left does not lead to a later generation, or
 *   if all records after their stamp are there.
 * - Memory depends on the size of a group, not on the file. The log is read once for each group.
 */

import { markPageCount, openMarkPage } from '../../format/grain-map.ts';
import { grainsPerMarkPage, marksBytes, pageBytes } from '../../format/layout.ts';
import type { LogOperation } from '../../format/log-record.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import { type DamagedFile, unlessCorrupt } from './damaged-file.ts';
import type { RecordBodies, RecordPlace } from './found-records.ts';
import type { FoundMarks } from './found-structures.ts';
import {
  type KnownMap,
  type KnownStratum,
  lacksHead,
  type MapLife,
  namedGeneration,
} from './known-strata.ts';
import type { KnownStore } from './remains.ts';
import { WorkingPage } from './working-page.ts';

/** Mark pages of a group, but for a map that has more. */
const groupPagesMax = 4000;
/** Values of settled records that are remembered at most, in case their grains are damaged. */
const settledValuesMax = 1_000_000;

/** The maps of one stratum in a group, or some of them. */
export interface GroupPart {
  readonly stratum: KnownStratum;
  readonly maps: readonly KnownMap[];
}

/** Divides all maps into groups, in order. */
export function* groupsOf(strata: readonly KnownStratum[], pagesMax = groupPagesMax) {
  let parts: GroupPart[] = [];
  let pages = 0;
  for (const stratum of strata) {
    let maps: KnownMap[] = [];
    for (const known of stratum.maps) {
      const count = markPageCount(known.map.grains);
      if (pages > 0 && pages + count > pagesMax) {
        if (maps.length > 0) parts.push({ stratum, maps });
        yield parts;
        parts = [];
        maps = [];
        pages = 0;
      }
      maps.push(known);
      pages += count;
    }
    if (maps.length > 0) parts.push({ stratum, maps });
  }
  if (parts.length > 0) yield parts;
}

/** Marks for a range of grains. */
interface Candidate {
  /** Undefined: all grains are free. */
  readonly found: FoundMarks | undefined;
  readonly stamp: number;
  readonly isKnown: boolean;
  /** Index in the stratum of the first grain of its page, and after the last. */
  readonly from: number;
  readonly to: number;
}

export class PageGroup {
  readonly #file: DamagedFile;
  readonly #known: KnownStore;
  /** The pages of each stratum, in order. */
  readonly #pages = new Map<KnownStratum, WorkingPage[]>();
  #last: { readonly stratum: KnownStratum; readonly page: WorkingPage } | undefined;
  #settledValues = 0;

  private constructor(file: DamagedFile, known: KnownStore) {
    this.#file = file;
    this.#known = known;
  }

  /** Reads the marks. Rejects if the operation is stopped. */
  static async load(
    file: DamagedFile,
    known: KnownStore,
    salt: Uint8Array,
    { parts, operation }: { parts: readonly GroupPart[]; operation: RunningOperation },
  ): Promise<PageGroup> {
    const group = new PageGroup(file, known);
    for (const { stratum, maps } of parts) {
      const lives = new LivesByIndex(stratum);
      const pages: WorkingPage[] = [];
      for (const { map, life } of maps) {
        for (let ordinal = 0; ordinal < markPageCount(map.grains); ordinal++) {
          await operation.breathe();
          const page = new WorkingPage(map, ordinal, known.completeFrom);
          await group.#fill(page, group.#candidates(page, life, lives), salt);
          pages.push(page);
        }
      }
      group.#pages.set(stratum, pages);
    }
    return group;
  }

  pagesOf(stratum: KnownStratum): readonly WorkingPage[] {
    return this.#pages.get(stratum) ?? [];
  }

  #candidates(page: WorkingPage, own: MapLife, lives: LivesByIndex): Candidate[] {
    const candidates: Candidate[] = [];
    for (const life of lives.within(page.firstIndex, page.firstIndex + page.grains)) {
      const first = Math.max(0, page.firstIndex - life.firstIndex);
      let ordinal = Math.floor(first / grainsPerMarkPage);
      for (; ordinal < markPageCount(life.grains); ordinal++) {
        const from = life.firstIndex + ordinal * grainsPerMarkPage;
        if (from >= page.firstIndex + page.grains) break;
        const to = Math.min(from + grainsPerMarkPage, life.firstIndex + life.grains);
        const state = this.#stateOf(life, ordinal, life === own);
        if (state !== undefined) candidates.push({ ...state, from, to });
      }
    }
    return candidates.sort((one, other) => one.stamp - other.stamp);
  }

  /** The newest state of a mark page that is left; undefined if nothing is. */
  #stateOf(life: MapLife, ordinal: number, isOwn: boolean) {
    const { base, completeFrom } = this.#known;
    const isComplete = (stamp: number): boolean => stamp + 1 >= completeFrom;
    const named = namedGeneration(life, ordinal);
    const found = life.found?.marks[ordinal];
    const { since } = life;
    if (found !== undefined) {
      const { stamp, generation } = found;
      // The place may have been that of the same map before, and again since.
      const isOfNow = isOwn ? stamp >= (since ?? 0) : life.goneAt > base;
      const isNewest = named === undefined ? isOwn : generation >= named;
      return { found, stamp, isKnown: (isOfNow && isNewest) || isComplete(stamp) };
    }
    const empty = { found: undefined, isKnown: true };
    const { entered } = life;
    const isNamed = entered?.isNamed || isComplete(entered?.stamp ?? -1) || !isEntry(life);
    if (named === 0 && isNamed && !lacksHead(life)) return { ...empty, stamp: 0 };
    const isAdded = since !== undefined && !life.isPart;
    if (isAdded && isComplete(since - 1)) return { ...empty, stamp: since - 1 };
    return undefined;
  }

  async #fill(
    page: WorkingPage,
    candidates: readonly Candidate[],
    salt: Uint8Array,
  ): Promise<void> {
    for (const { found, stamp, isKnown, from, to } of candidates) {
      const bytes = await this.#marks(found, salt);
      if (bytes === undefined) continue;
      const start = Math.max(from, page.firstIndex);
      const segment = {
        from: start - page.firstIndex,
        to: Math.min(to - page.firstIndex, page.grains),
        stamp,
        isKnown,
      };
      page.take(segment, bytes, start - from);
    }
    page.begin();
  }

  async #marks(found: FoundMarks | undefined, salt: Uint8Array): Promise<Uint8Array | undefined> {
    if (found === undefined) return noMarks;
    const bytes = new Uint8Array(pageBytes);
    await this.#file.fill(bytes, found.page * pageBytes);
    return unlessCorrupt(() => openMarkPage(bytes, found, salt).marks);
  }

  /** Applies all records that are left. Rejects if the operation is stopped. */
  async replay(bodies: RecordBodies, operation: RunningOperation): Promise<void> {
    for (const place of this.#known.records) {
      await operation.breathe();
      const record = await bodies.read(place, operation);
      for (const one of record?.operations ?? []) {
        if (operation.isTurnDue) await operation.breathe();
        this.#apply(one, place);
      }
    }
  }

  #apply(one: LogOperation, place: RecordPlace): void {
    if (one.operation !== 'allocate' && one.operation !== 'archive' && one.operation !== 'free') {
      return;
    }
    const { batch } = place;
    const page = this.#find(one.basin, one.stratum, one.index);
    if (page === undefined) return;
    if (one.operation === 'archive') {
      page.archive(one, batch);
      return;
    }
    const at = one.index - page.firstIndex;
    page.logged.delete(at);
    if (one.operation === 'free') {
      page.free(one, batch);
      return;
    }
    page.allocate(one, batch);
    const isCarried = one.bytes !== undefined;
    const isLater = batch > this.#known.base;
    if (!isLater && (!isCarried || this.#settledValues >= settledValuesMax)) return;
    if (!isLater) this.#settledValues += 1;
    const { count, length, crc } = one;
    page.logged.set(at, { place, count, length, crc, isCarried });
  }

  #find(basin: number, number: number, index: number): WorkingPage | undefined {
    const last = this.#last;
    const isThere = last?.stratum.basin === basin && last.stratum.number === number;
    if (last !== undefined && isThere && has(last.page, index)) return last.page;
    const stratum = this.#known.strata.find(basin, number);
    const pages = stratum === undefined ? undefined : this.#pages.get(stratum);
    if (stratum === undefined || pages === undefined) return undefined;
    let low = 0;
    let high = pages.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((pages[middle] as WorkingPage).firstIndex <= index) low = middle + 1;
      else high = middle;
    }
    const page = pages[low - 1];
    if (page === undefined || !has(page, index)) return undefined;
    this.#last = { stratum, page };
    return page;
  }
}

const noMarks = new Uint8Array(marksBytes);

function has({ firstIndex, grains }: WorkingPage, index: number): boolean {
  return index >= firstIndex && index < firstIndex + grains;
}

/** True if its entry in the basin says that it was never written, and no head. */
function isEntry({ entered }: MapLife): boolean {
  return entered?.generation === 0;
}

/** The maps that ever had grains of a range. */
class LivesByIndex {
  readonly #lives: readonly MapLife[];
  /** The end of each, or of an earlier one if that is later. */
  readonly #ends: number[] = [];

  constructor(stratum: KnownStratum) {
    this.#lives = stratum.lives;
    let end = 0;
    for (const { firstIndex, grains } of this.#lives) {
      end = Math.max(end, firstIndex + grains);
      this.#ends.push(end);
    }
  }

  *within(from: number, to: number): Generator<MapLife> {
    let low = 0;
    let high = this.#ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ends[middle] as number) <= from) low = middle + 1;
      else high = middle;
    }
    for (let at = low; at < this.#lives.length; at++) {
      const life = this.#lives[at] as MapLife;
      if (life.firstIndex >= to) return;
      if (life.firstIndex + life.grains > from) yield life;
    }
  }
}

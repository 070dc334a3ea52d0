/**
 * Decides the grain maps of a copy, or of one map that is cut: which stretches of a stratum's
 * grains each of them covers.
 *
 * Invariants:
 * - Every live value is in one map, under its index, and within one mark page.
 * - A map covers only grains of maps that adjoin in the source. The ids of dropped maps stay
 *   unused.
 * - A stratum gets no more maps than it may have, and mostly leaves a quarter for later ones.
 *
 * A stretch of free grains between two maps is not in the file. It is cut out if its bytes are more
 * than what another map costs. Usually maps have one mark page and begin at a value. If a stratum
 * is too large for that, each map of the source remains one, with its mark pages; then only free
 * mark pages are cut out. Pure.
 */

import { mapPages } from '../../format/grain-map.ts';
import {
  grainsPerMarkPage,
  grainsPerValueMax,
  markContinues,
  marksBytes,
  markValue,
  pageBytes,
} from '../../format/layout.ts';
import { assert } from '../../util/assert.ts';
import { fillRun, setMark } from '../marks/packed-marks.ts';

/** A grain map of the source. */
export interface SourceMap {
  readonly firstIndex: number;
  readonly grains: number;
}

/** A grain map of the copy, without its place. */
export interface CutMap {
  readonly firstIndex: number;
  readonly grains: number;
  /** The marks of each mark page: only live values. */
  readonly marks: readonly Uint8Array[];
  readonly values: number;
  readonly liveGrains: number;
}

export interface StratumToCut {
  readonly grainExp: number;
  readonly maps: readonly SourceMap[];
  /** Maps that a stratum may have. */
  readonly mapsMax: number;
}

/**
 * Pages that another map costs: two slots of marks, and up to a page because grains begin a page.
 */
const mapCostPages = 3;
/** A value of this length keeps its own map: freeing it gives its pages back to the file. */
const ownMapPages = 64;
/** Grains that a map of one mark page has at least, if the next value did not fit. */
const filledGrains = grainsPerMarkPage - grainsPerValueMax + 1;
/** Cuts that may be made before their share of the stratum has been seen. */
const earlyCuts = 16;

interface OpenMap {
  readonly firstIndex: number;
  readonly marks: Uint8Array[];
  end: number;
  values: number;
  liveGrains: number;
}

export class MapCuts {
  readonly #stratum: StratumToCut;
  readonly #grainBytes: number;
  readonly #emit: (map: CutMap) => void;
  /** Maps of the copy have one mark page and begin at a value. */
  readonly #isFine: boolean;
  readonly #keepsOwn: boolean;
  readonly #totalGrains: number;
  /** Cuts of free grains that the stratum has room for. */
  readonly #cutsMax: number;
  #cuts = 0;
  #seenGrains = 0;
  #source: SourceMap | undefined;
  #isApart = false;
  #open: OpenMap | undefined;

  /** Calls `emit` for each map of the copy, in order. */
  constructor(stratum: StratumToCut, emit: (map: CutMap) => void) {
    this.#stratum = stratum;
    this.#grainBytes = 2 ** stratum.grainExp;
    this.#emit = emit;
    this.#totalGrains = stratum.maps.reduce((sum, { grains }) => sum + grains, 0);
    const most = Math.floor((stratum.mapsMax * 3) / 4);
    const apart = mapsNeeded(stratum, (map) => isOwnMap(map, stratum.grainExp));
    const joined = mapsNeeded(stratum, () => false);
    this.#keepsOwn = apart <= most;
    this.#isFine = apart <= most || joined <= most;
    const shared = this.#keepsOwn ? apart : joined;
    const needed = this.#isFine ? shared : stratum.maps.length;
    this.#cutsMax = Math.max(0, most - needed);
  }

  /** The values that follow are in this map of the source. */
  begin(map: SourceMap): void {
    const before = this.#source;
    if (before !== undefined) this.#seenGrains += before.grains;
    const adjoins = before !== undefined && before.firstIndex + before.grains === map.firstIndex;
    const isApart = this.#keepsOwn && isOwnMap(map, this.#stratum.grainExp);
    if (!this.#isFine || !adjoins || isApart || this.#isApart) this.#close();
    this.#source = map;
    this.#isApart = isApart;
  }

  /** The next live value. Requires: in ascending order, within the map of the last `begin`. */
  add(index: number, count: number): void {
    if (this.#open !== undefined && !this.#goesOn(this.#open, index, count)) this.#close();
    this.#open ??= this.#newMap(index);
    const open = this.#open;
    const at = index - open.firstIndex;
    const ordinal = Math.floor(at / grainsPerMarkPage);
    while (open.marks.length <= ordinal) open.marks.push(new Uint8Array(marksBytes));
    const marks = open.marks[ordinal] as Uint8Array;
    const within = at - ordinal * grainsPerMarkPage;
    assert(within + count <= grainsPerMarkPage, 'a value is within one mark page');
    setMark(marks, within, markValue);
    if (count > 1) fillRun(marks, within + 1, within + count, markContinues);
    open.end = index + count;
    open.values += 1;
    open.liveGrains += count;
  }

  /** No map is to have the grains from the last value to the next one, if the stratum has room. */
  interrupt(): void {
    if (this.#open !== undefined && this.#isFine && this.#takeCut()) this.#close();
  }

  /** There are no more values. */
  end(): void {
    this.#close();
  }

  /** True if the value goes to the open map. */
  #goesOn({ firstIndex, end }: OpenMap, index: number, count: number): boolean {
    const gap = index - end;
    if (this.#isFine) {
      if (index + count - firstIndex > grainsPerMarkPage) return false;
      const bytes = gap * this.#grainBytes;
      return bytes <= mapCostPages * pageBytes || !this.#takeCut();
    }
    const lastPage = Math.floor((end - 1 - firstIndex) / grainsPerMarkPage);
    const page = Math.floor((index - firstIndex) / grainsPerMarkPage);
    return page <= lastPage + 1 || !this.#takeCut();
  }

  /** Cuts are spread over the stratum, since the largest gaps may come last. */
  #takeCut(): boolean {
    const share = this.#totalGrains === 0 ? 1 : this.#seenShare();
    if (this.#cuts >= Math.min(this.#cutsMax, this.#cutsMax * share + earlyCuts)) return false;
    this.#cuts += 1;
    return true;
  }

  #seenShare(): number {
    const within = (this.#open?.end ?? 0) - (this.#source?.firstIndex ?? 0);
    return (this.#seenGrains + Math.max(0, within)) / this.#totalGrains;
  }

  #newMap(index: number): OpenMap {
    const from = this.#source?.firstIndex ?? index;
    const page = Math.floor((index - from) / grainsPerMarkPage);
    // The mark pages of the source have no value in two of them.
    const firstIndex = this.#isFine ? index : from + page * grainsPerMarkPage;
    return { firstIndex, marks: [], end: index, values: 0, liveGrains: 0 };
  }

  #close(): void {
    const open = this.#open;
    if (open === undefined) return;
    const { firstIndex, marks, end, values, liveGrains } = open;
    this.#emit({ firstIndex, grains: end - firstIndex, marks, values, liveGrains });
    this.#open = undefined;
  }
}

/** Made for one value, which is so long that its own map costs little. */
function isOwnMap({ grains }: SourceMap, grainExp: number): boolean {
  return grains <= grainsPerValueMax && mapPages(grains, grainExp) >= ownMapPages;
}

/** Maps of one mark page that a stratum needs at most without cuts. */
function mapsNeeded({ maps }: StratumToCut, isApart: (map: SourceMap) => boolean): number {
  let needed = 0;
  let joined = 0;
  let end = -1;
  for (const map of maps) {
    const apart = isApart(map);
    if (apart || map.firstIndex !== end) {
      needed += Math.ceil(joined / filledGrains);
      joined = 0;
    }
    if (apart) needed += 1;
    else joined += map.grains;
    end = apart ? -1 : map.firstIndex + map.grains;
  }
  return needed + Math.ceil(joined / filledGrains);
}

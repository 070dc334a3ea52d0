/**
 * The layout of a copy: the place of each grain map, and the structures that name them.
 *
 * The file has, in order: both header copies, a log segment, the grain maps, the basins, the root.
 * Maps follow one another in the order of their strata and grains, so the copy is written from its
 * start to its end. Invariant: it is a closed store with an empty commit log whose checkpoint is
 * its batch. Its salt is its own: source and copy go on apart, and a page or log record of one must
 * not pass for one of the other. Pure.
 */

import { encodeBasin, type MapEntry, type StratumEntry } from '../../format/basin.ts';
import { sealDocument, slotPage } from '../../format/document.ts';
import {
  encodeMapHead,
  encodeMarkPage,
  hasHead,
  type MarkPageName,
  mapHeadPage,
  mapOverheadPages,
  mapOwner,
  mapPages,
  markPagePage,
  type SealedPage,
} from '../../format/grain-map.ts';
import {
  firstSegmentPage,
  grainsPerMarkPage,
  kindBasin,
  kindRoot,
  pageBytes,
  segmentPagesMin,
} from '../../format/layout.ts';
import { encodeRoot } from '../../format/root.ts';
import type { FileWrite } from '../file/effects.ts';
import { laneRange } from '../log/commit-log.ts';
import { runLengthMax } from '../marks/length-buckets.ts';
import { measureMarks } from '../marks/packed-marks.ts';
import type { CutMap } from '../moves/map-cuts.ts';
import { HeaderCopies } from '../settle/header-copies.ts';
import type { SourceState, SourceStratum } from './backup-source.ts';

/** Every structure is in the slot of its first generation; the other slot has zeros. */
const generation = 1;
/** Not the epoch of a new store: the copy does not count as one that was never written to. */
const epoch = 2;

/** The page of the first grain map. */
export const firstMapPage = firstSegmentPage + segmentPagesMin;

/** A grain map of the copy. */
export interface PlacedMap {
  readonly stratum: SourceStratum;
  readonly firstIndex: number;
  readonly grains: number;
  /** First page in the copy. */
  readonly page: number;
  /** CRC of its head, or of its only mark page. */
  readonly crc: number;
  /** The name of each mark page. */
  readonly names: readonly MarkPageName[];
  readonly values: number;
  readonly liveGrains: number;
}

type MapOfPages = Pick<PlacedMap, 'stratum' | 'firstIndex' | 'grains' | 'page' | 'names'>;

/** A map, and its sealed mark pages. */
export interface SealedMap {
  readonly map: PlacedMap;
  readonly pages: readonly Uint8Array[];
}

export class CopyLayout {
  readonly salt: Uint8Array;
  readonly #state: SourceState;
  readonly maps: PlacedMap[] = [];
  #endPage = firstMapPage;

  constructor(state: SourceState, salt: Uint8Array) {
    this.#state = state;
    this.salt = salt;
  }

  /** Page after the last map. */
  get endPage(): number {
    return this.#endPage;
  }

  /** Places a map behind the last one. */
  place(stratum: SourceStratum, cut: CutMap): SealedMap {
    const { firstIndex, grains, values, liveGrains } = cut;
    const page = this.#endPage;
    const owner = mapOwner(stratum, { firstIndex, grains, grainExp: stratum.grainExp });
    const names: MarkPageName[] = [];
    const pages: Uint8Array[] = [];
    for (const [ordinal, marks] of cut.marks.entries()) {
      const at = markPagePage({ page, grains }, ordinal, generation);
      const place = { page: at, generation, stamp: this.#state.batch };
      const content = { owner, ordinal, marks };
      const { bytes, crc } = encodeMarkPage(content, place, this.salt);
      const inPage = Math.min(grainsPerMarkPage, grains - ordinal * grainsPerMarkPage);
      names.push({ generation, crc, ...measureMarks(marks, inPage) });
      pages.push(bytes);
    }
    this.#endPage += mapPages(grains, stratum.grainExp);
    const place = { stratum, firstIndex, grains, page, names };
    const crc = hasHead(grains) ? this.#head(place).crc : (names[0]?.crc ?? 0);
    const map = { ...place, crc, values, liveGrains };
    this.maps.push(map);
    return { map, pages };
  }

  /** The page with the head of a map that has one. */
  #head({ stratum, firstIndex, grains, page, names }: MapOfPages): SealedPage {
    const place = { page: mapHeadPage(page, generation), generation, stamp: this.#state.batch };
    const owner = mapOwner(stratum, { firstIndex, grains, grainExp: stratum.grainExp });
    return encodeMapHead({ owner, pages: names }, place, this.salt);
  }

  /** The pages in front of the grains of a map, from its sealed mark pages. */
  overhead(map: PlacedMap, pages: readonly Uint8Array[]): Uint8Array {
    const bytes = new Uint8Array(mapOverheadPages(map.grains) * pageBytes);
    if (hasHead(map.grains)) {
      const at = mapHeadPage(map.page, generation) - map.page;
      bytes.set(this.#head(map).bytes, at * pageBytes);
    }
    for (const [ordinal, page] of pages.entries()) {
      const at = markPagePage(map, ordinal, generation) - map.page;
      bytes.set(page, at * pageBytes);
    }
    return bytes;
  }

  /**
   * The writes of all that is not a map: log segment, basins, root, and both header copies.
   * Requires: all maps are placed. `valueBytes`: those of each stratum.
   */
  documents(valueBytes: ReadonlyMap<SourceStratum, number>): {
    writes: FileWrite[];
    pages: number;
  } {
    const { batch, embeddedHeader, basins } = this.#state;
    const segment = { page: firstSegmentPage, pages: segmentPagesMin };
    const writes: FileWrite[] = [
      { offset: 0, chunks: [new Uint8Array((segment.page + segment.pages) * pageBytes)] },
    ];
    let page = this.#endPage;
    const write = (bytes: Uint8Array, kind: number) => {
      const needed = Math.ceil(bytes.length / pageBytes);
      const capacityPages = needed === 1 ? 1 : Math.ceil(needed * 1.5);
      const slots = new Uint8Array(2 * capacityPages * pageBytes);
      const place = { kind, page, capacityPages, generation, stamp: batch };
      const name = sealDocument(bytes, place, this.salt);
      slots.set(bytes, (slotPage(page, capacityPages, generation) - page) * pageBytes);
      writes.push({ offset: page * pageBytes, chunks: [slots] });
      page += 2 * capacityPages;
      return name;
    };
    const entries = this.#entries(valueBytes);
    const names = basins.map((strata) => {
      const ofBasin = strata.map((stratum) => entries.get(stratum) ?? emptyEntry(stratum));
      return write(encodeBasin({ strata: ofBasin }), kindBasin);
    });
    const content = { embeddedHeader, basins: names, segments: [], bodies: [] };
    const root = write(encodeRoot(content), kindRoot);
    const lanes = [laneRange(segment, 0).from, laneRange(segment, 1).from] as const;
    const settled = { base: batch, checkpoint: batch, embeddedHeader, root, retainedLogBytes: 0 };
    const header = {
      settled: { ...settled, laneSectors: lanes },
      segments: [segment],
      epoch,
      clean: true,
    };
    writes.push(...new HeaderCopies(this.salt, header, [0, 0]).planBoth(batch));
    return { writes, pages: page };
  }

  #entries(valueBytes: ReadonlyMap<SourceStratum, number>): Map<SourceStratum, StratumEntry> {
    const mapsOf = new Map<SourceStratum, PlacedMap[]>();
    for (const map of this.maps) {
      const others = mapsOf.get(map.stratum);
      if (others === undefined) mapsOf.set(map.stratum, [map]);
      else others.push(map);
    }
    const entries = new Map<SourceStratum, StratumEntry>();
    for (const [stratum, maps] of mapsOf) {
      let values = 0;
      let allocatedGrains = 0;
      for (const map of maps) {
        values += map.values;
        allocatedGrains += map.liveGrains;
      }
      entries.set(stratum, {
        ...emptyEntry(stratum),
        values,
        valueBytes: valueBytes.get(stratum) ?? 0,
        allocatedGrains,
        maps: maps.map((map) => this.#entry(map)),
      });
    }
    return entries;
  }

  #entry(map: PlacedMap): MapEntry {
    const { firstIndex, grains, page, crc, names, liveGrains } = map;
    let longestFree = 0;
    for (const name of names) longestFree = Math.max(longestFree, name.longestFree);
    const free = grains - liveGrains;
    const hints = { free, longestFree: Math.min(longestFree, runLengthMax) };
    return { firstIndex, grains, page, further: [], generation, crc, ...hints };
  }
}

/** Byte offset of a sealed mark page in the copy. */
export function markPageOffset(map: PlacedMap, ordinal: number): number {
  return markPagePage(map, ordinal, generation) * pageBytes;
}

function emptyEntry({ grainExp, endIndex }: SourceStratum): StratumEntry {
  const none = { values: 0, archivedValues: 0, valueBytes: 0, allocatedGrains: 0 };
  return { grainExp, ...none, endIndex, maps: [] };
}

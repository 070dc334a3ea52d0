/**
 * The structures that a scan of a damaged file has found, of one life of the file: the salt in
 * their seals says which.
 *
 * Invariants:
 * - Every structure is sound: its seal is right, and it is at its place. It holds every batch up to
 *   its stamp, and that batch was durable. So of two states of one thing the one with the later
 *   stamp is the newer, whichever slot has it.
 * - What is kept of a structure is its place, never its content, but for the generations in a head.
 */

import {
  decodeMapHead,
  hasHead,
  type MapOwner,
  markPageCount,
  openMarkPage,
  ownerOf,
} from '../../format/grain-map.ts';
import {
  basinsMax,
  grainExpMax,
  grainExpMin,
  grainIndexLimit,
  grainsPerMarkPage,
  kindMap,
  kindRoot,
  markPagesMax,
  strataMax,
} from '../../format/layout.ts';
import type { Seal } from '../../format/seal.ts';
import { areMarksPossible } from '../marks/packed-marks.ts';

/** A root or basin: one generation of it. */
export interface FoundDocument {
  readonly seal: Seal;
  readonly crc: number;
}

/** A mark page: its newest state that was found. */
export interface FoundMarks {
  readonly page: number;
  readonly generation: number;
  readonly crc: number;
  readonly stamp: number;
}

/** A grain map of which heads or mark pages were found. */
export interface FoundMap {
  readonly owner: MapOwner;
  /** First page of the map. */
  readonly page: number;
  /** The newest head, if any. */
  head: { readonly generation: number; readonly stamp: number } | undefined;
  /** The generation of each mark page as the newest head names it. */
  named: Uint32Array | undefined;
  readonly marks: (FoundMarks | undefined)[];
}

export class FoundStructures {
  /** The first four bytes of the salt. */
  readonly saltStart: number;
  readonly roots: FoundDocument[] = [];
  readonly basins: FoundDocument[] = [];
  readonly maps = new Map<string, FoundMap>();
  /** Sound structures. */
  count = 0;
  stampMax = 0;

  constructor(saltStart: number) {
    this.saltStart = saltStart;
  }

  addDocument(found: FoundDocument): void {
    this.#count(found.seal);
    if (found.seal.kind === kindRoot) this.roots.push(found);
    else this.basins.push(found);
  }

  /** A page with a sound seal; one that cannot be of a map is left out. */
  addPage(bytes: Uint8Array, found: FoundDocument, salt: Uint8Array): void {
    const { seal } = found;
    const { owner, part } = ownerOf(bytes, seal.page);
    if (!isPossible(owner)) return;
    if (seal.kind === kindMap) this.#addHead(bytes, found, owner, salt);
    else this.#addMarks(bytes, found, { owner, ordinal: part }, salt);
  }

  #addHead(bytes: Uint8Array, { seal, crc }: FoundDocument, owner: MapOwner, salt: Uint8Array) {
    const { page, generation, stamp } = seal;
    if (!hasHead(owner.grains)) return;
    const { pages } = decodeMapHead(bytes, { page, generation, crc }, salt);
    const map = this.#map(owner, page - (generation % 2));
    if (map === undefined) return;
    this.#count(seal);
    if (map.head !== undefined && map.head.stamp > stamp) return;
    if (map.head?.stamp === stamp && map.head.generation > generation) return;
    map.head = { generation, stamp };
    map.named = Uint32Array.from(pages, (name) => name.generation);
  }

  #addMarks(
    bytes: Uint8Array,
    { seal, crc }: FoundDocument,
    { owner, ordinal }: { readonly owner: MapOwner; readonly ordinal: number },
    salt: Uint8Array,
  ): void {
    const { page, generation, stamp } = seal;
    if (ordinal >= markPageCount(owner.grains)) return;
    const { marks } = openMarkPage(bytes, { page, generation, crc }, salt);
    const grains = Math.min(grainsPerMarkPage, owner.grains - ordinal * grainsPerMarkPage);
    if (!areMarksPossible(marks, grains)) return;
    const before = (hasHead(owner.grains) ? 2 : 0) + 2 * ordinal + (generation % 2);
    const map = this.#map(owner, page - before);
    if (map === undefined) return;
    this.#count(seal);
    const other = map.marks[ordinal];
    const isOlder = other !== undefined && other.stamp > stamp;
    if (isOlder || (other?.stamp === stamp && other.generation > generation)) return;
    map.marks[ordinal] = { page, generation, crc, stamp };
  }

  #map(owner: MapOwner, page: number): FoundMap | undefined {
    if (page < 1) return undefined;
    const { basin, stratum, firstIndex, grains } = owner;
    const key = `${basin}-${stratum}-${firstIndex}-${grains}-${page}`;
    let map = this.maps.get(key);
    if (map === undefined) {
      map = { owner, page, head: undefined, named: undefined, marks: [] };
      this.maps.set(key, map);
    }
    return map;
  }

  #count({ stamp }: Seal): void {
    this.count += 1;
    this.stampMax = Math.max(this.stampMax, stamp);
  }
}

function isPossible({ basin, stratum, firstIndex, grains, grainExp }: MapOwner): boolean {
  if (basin < 0 || basin >= basinsMax || stratum < 0 || stratum >= strataMax) return false;
  if (grainExp < grainExpMin || grainExp > grainExpMax) return false;
  if (grains < 1 || grains > markPagesMax * grainsPerMarkPage) return false;
  return firstIndex + grains <= grainIndexLimit;
}

/**
 * The structures of a whole store in memory, each with a way to put other bytes in its place whose
 * checksums are right: its own, and those of everything above that names it.
 *
 * Invariant: putting back the bytes that a structure has changes nothing. Structures come with the
 * deepest first: several can be changed in this order, since only what is above must be sound.
 * Nothing but the format's own decoders and encoders says where something is.
 */

import { decodeBasin, encodeBasin, type MapEntry } from '../../../src/format/basin.ts';
import { type DocumentName, sealDocument, slotPage } from '../../../src/format/document.ts';
import {
  decodeFileHeader,
  encodeFileHeader,
  type FileHeader,
} from '../../../src/format/file-header.ts';
import {
  decodeMapHead,
  encodeMapHead,
  hasHead,
  mapHeadPage,
  markPagePage,
} from '../../../src/format/grain-map.ts';
import {
  headerCopies,
  headerCrcOffset,
  kindBasin,
  kindRoot,
  pageBytes,
  recordHeadBytes,
  sealBytes,
  sectorBytes,
} from '../../../src/format/layout.ts';
import {
  decodeLogSector,
  decodeRecordHead,
  encodeRecordSectors,
  type LogSector,
  type RecordHead,
} from '../../../src/format/log-sector.ts';
import { decodeRoot, encodeRoot, type Root } from '../../../src/format/root.ts';
import { crc32 } from '../../../src/util/crc.ts';
import { getU32, getU48, setU32 } from '../../../src/util/little-endian.ts';

export interface Structure {
  readonly kind:
    | 'file header'
    | 'root'
    | 'basin'
    | 'map head'
    | 'mark page'
    | 'record sector'
    | 'record body';
  readonly offset: number;
  /** What may be changed. */
  bytes(image: Uint8Array): Uint8Array;
  /** Puts these in their place, as far as they fit there, with every checksum made right. */
  replace(image: Uint8Array, bytes: Uint8Array): void;
}

/** Tells what names a structure its new CRC and length. */
type Rename = (image: Uint8Array, name: { crc: number; length: number }) => void;

/** Every structure of a sound store. */
export function structuresOf(image: Uint8Array): Structure[] {
  const headers = [0, 1].map((copy) => headerAt(image, copy * pageBytes));
  const [first] = headers as [FileHeader];
  const below: Structure[] = [];
  const roots: DocumentName[] = [];
  for (const { root } of headers) {
    if (root.generation === 0 || roots.some(({ crc }) => crc === root.crc)) continue;
    roots.push(root);
    for (const one of new Tree(image, first.salt, root).structures()) {
      if (below.every(({ offset }) => offset !== one.offset)) below.push(one);
    }
  }
  const copies = headers.map((_, copy) => headerStructure(copy));
  return [...below, ...recordsOf(image, first.salt), ...copies];
}

// ── the file header ──

function headerAt(image: Uint8Array, offset: number): FileHeader {
  const copy = decodeFileHeader(image.subarray(offset, offset + sectorBytes), offset);
  if (copy.state !== 'valid') throw new Error(`a copy of the file header is ${copy.state}`);
  return copy.header;
}

function headerStructure(copy: number): Structure {
  const offset = copy * pageBytes;
  return {
    kind: 'file header',
    offset,
    bytes: (image) => image.slice(offset, offset + headerCrcOffset),
    replace(image, bytes) {
      const sector = image.subarray(offset, offset + sectorBytes);
      sector.set(bytes.subarray(0, headerCrcOffset));
      setU32(sector, headerCrcOffset, crc32(sector.subarray(0, headerCrcOffset)));
    },
  };
}

// ── what a root names ──

/** Kind and CRC of a seal: they are to be right. */
const sealStart = 8;
const sealLengthOffset = 12;

interface Place {
  readonly offset: number;
  readonly length: number;
  /** Bytes that it may grow to. */
  readonly capacity: number;
}

function sealedStructure(kind: Structure['kind'], place: Place, rename: Rename): Structure {
  const { offset, length, capacity } = place;
  return {
    kind,
    offset,
    bytes: (image) => image.slice(offset + sealStart, offset + length),
    replace(image, bytes) {
      const whole = image.subarray(offset, offset + capacity);
      const part = bytes.subarray(0, capacity - sealStart);
      whole.set(part, sealStart);
      const grown = Math.max(sealBytes, part.length + sealStart);
      if (grown !== length) setU32(whole, sealLengthOffset, grown);
      const sealedBytes = getU32(whole, sealLengthOffset);
      // What cannot be sealed is refused for that.
      if (sealedBytes <= capacity) setU32(whole, 4, crc32(whole.subarray(sealStart, sealedBytes)));
      rename(image, { crc: getU32(whole, 4), length: grown });
    },
  };
}

class Tree {
  readonly #image: Uint8Array;
  readonly #salt: Uint8Array;
  readonly #root: DocumentName;

  constructor(image: Uint8Array, salt: Uint8Array, root: DocumentName) {
    this.#image = image;
    this.#salt = salt;
    this.#root = root;
  }

  structures(): Structure[] {
    const found: Structure[] = [];
    const { basins } = decodeRoot(documentOf(this.#image, this.#root), 0);
    for (const [number, name] of basins.entries()) {
      if (name.generation === 0) continue;
      const { strata } = decodeBasin(documentOf(this.#image, name), 0);
      for (const [stratum, { maps }] of strata.entries()) {
        for (const map of maps) found.push(...this.#inMap(map, [number, stratum, map.firstIndex]));
      }
      const rename: Rename = (image, to) => this.#renameBasin(image, number, to);
      found.push(sealedStructure('basin', placeOf(name), rename));
    }
    const rename: Rename = (image, to) => this.#renameRoot(image, to);
    return [...found, sealedStructure('root', placeOf(this.#root), rename)];
  }

  #inMap(map: MapEntry, path: MapPath): Structure[] {
    if (map.generation === 0) return [];
    const rename: Rename = (image, to) => this.#renameMap(image, path, to);
    if (!hasHead(map.grains)) {
      return [sealedStructure('mark page', pageAt(markPagePage(map, 0, map.generation)), rename)];
    }
    const page = mapHeadPage(map.page, map.generation);
    const found: Structure[] = [];
    for (const [ordinal, name] of this.#head(this.#image, page).pages.entries()) {
      if (name.generation === 0) continue;
      const place = pageAt(markPagePage(map, ordinal, name.generation));
      found.push(
        sealedStructure('mark page', place, (image, { crc }) => {
          const head = this.#head(image, page);
          const pages = head.pages.map((one, at) => (at === ordinal ? { ...one, crc } : one));
          const { stamp } = head;
          const written = { page, generation: map.generation, stamp };
          const encoded = encodeMapHead({ ...head, pages }, written, this.#salt);
          image.set(encoded.bytes, page * pageBytes);
          rename(image, { crc: encoded.crc, length: pageBytes });
        }),
      );
    }
    return [...found, sealedStructure('map head', pageAt(page), rename)];
  }

  /** The head that stands on the page, whatever its CRC. */
  #head(image: Uint8Array, page: number): ReturnType<typeof decodeMapHead> {
    const bytes = image.slice(page * pageBytes, (page + 1) * pageBytes);
    const name = { page, generation: getU32(bytes, 8), crc: getU32(bytes, 4) };
    return decodeMapHead(bytes, name, this.#salt);
  }

  #renameMap(image: Uint8Array, [number, at, first]: MapPath, { crc }: { crc: number }): void {
    const root = this.#rootOf(image);
    const name = root.basins[number] as DocumentName;
    const strata = decodeBasin(documentOf(image, name), 0).strata.map((stratum, index) => {
      if (index !== at) return stratum;
      const maps = stratum.maps.map((map) => (map.firstIndex === first ? { ...map, crc } : map));
      return { ...stratum, maps };
    });
    const sealed = this.#write(image, kindBasin, name, encodeBasin({ strata }));
    this.#renameBasin(image, number, sealed);
  }

  #renameBasin(image: Uint8Array, number: number, to: { crc: number; length: number }): void {
    const root = this.#rootOf(image);
    const basins = root.basins.map((one, at) => (at === number ? { ...one, ...to } : one));
    this.#renameRoot(
      image,
      this.#write(image, kindRoot, this.#root, encodeRoot({ ...root, basins })),
    );
  }

  /** The root in `image`, where it has its old length. */
  #rootOf(image: Uint8Array): Root {
    return decodeRoot(documentOf(image, this.#root), 0);
  }

  #renameRoot(image: Uint8Array, { crc, length }: { crc: number; length: number }): void {
    const { page, generation } = this.#root;
    for (let copy = 0; copy < headerCopies; copy++) {
      const header = headerAt(image, copy * pageBytes);
      if (header.root.page !== page || header.root.generation !== generation) continue;
      const root = { ...header.root, crc, length };
      image.set(encodeFileHeader({ ...header, root }), copy * pageBytes);
    }
  }

  #write(image: Uint8Array, kind: number, name: DocumentName, bytes: Uint8Array): DocumentName {
    const { offset } = placeOf(name);
    const stamp = getU48(image, offset + 16);
    const sealed = sealDocument(bytes, { ...name, kind, stamp }, this.#salt);
    image.set(bytes, offset);
    return sealed;
  }
}

/** Basin, stratum and first grain of a map. */
type MapPath = readonly [number, number, number];

function placeOf(name: DocumentName): Place {
  const page = slotPage(name.page, name.capacityPages, name.generation);
  const capacity = name.capacityPages * pageBytes;
  return { offset: page * pageBytes, length: name.length, capacity };
}

function pageAt(page: number): Place {
  return { offset: page * pageBytes, length: pageBytes, capacity: pageBytes };
}

function documentOf(image: Uint8Array, name: DocumentName): Uint8Array {
  const { offset, length } = placeOf(name);
  return image.slice(offset, offset + length);
}

// ── the commit log ──

/** Every sector of the log that is whole, and every body that stands in sectors. */
function recordsOf(image: Uint8Array, salt: Uint8Array): Structure[] {
  const found: Structure[] = [];
  for (let sector = 0; sector < image.length / sectorBytes; sector++) {
    const whole = decodeLogSector(sectorOf(image, sector), sector, salt);
    if (typeof whole === 'string') continue;
    const head = whole.ordinal > 0 ? undefined : decodeRecordHead(whole.payload);
    if (head !== undefined) found.push(bodyStructure({ sector, head, whole, salt }));
    found.push(sectorStructure(sector));
  }
  return found;
}

function sectorOf(image: Uint8Array, sector: number): Uint8Array {
  return image.subarray(sector * sectorBytes, (sector + 1) * sectorBytes);
}

function sectorStructure(sector: number): Structure {
  return {
    kind: 'record sector',
    offset: sector * sectorBytes,
    bytes: (image) => sectorOf(image, sector).slice(4),
    replace(image, bytes) {
      const place = sectorOf(image, sector);
      place.set(bytes.subarray(0, sectorBytes - 4), 4);
      setU32(place, 0, crc32(place.subarray(4)));
    },
  };
}

interface RecordAt {
  readonly sector: number;
  readonly head: RecordHead;
  readonly whole: LogSector;
  readonly salt: Uint8Array;
}

function bodyStructure({ sector, head, whole, salt }: RecordAt): Structure {
  const { batch, epoch } = whole;
  const { extent, bodyBytes, sectors } = head;
  return {
    kind: 'record body',
    offset: sector * sectorBytes,
    bytes(image) {
      if (extent !== undefined) {
        return image.slice(extent.page * pageBytes, extent.page * pageBytes + bodyBytes);
      }
      const payloads = Array.from({ length: sectors }, (_, ordinal) => {
        const found = decodeLogSector(sectorOf(image, sector + ordinal), sector + ordinal, salt);
        return typeof found === 'string' ? new Uint8Array(0) : found.payload;
      });
      return Uint8Array.from(Buffer.concat(payloads).subarray(recordHeadBytes));
    },
    replace(image, bytes) {
      const body = bytes.subarray(0, extent === undefined ? undefined : extent.pages * pageBytes);
      if (extent !== undefined) image.set(body, extent.page * pageBytes);
      const encoded = encodeRecordSectors(body, { batch, epoch, sector }, extent, salt);
      // A longer body takes the place of what follows it.
      image.set(encoded.subarray(0, image.length - sector * sectorBytes), sector * sectorBytes);
    },
  };
}

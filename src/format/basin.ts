/**
 * A basin document: its strata, their counters, and the places of their grain maps.
 *
 * The root names it; it names the head, or the only mark page, of each grain map. Layout:
 * `spec/format.md`, "Basin". Encoding and decoding only.
 */

import { ByteReader, ByteWriter } from '../util/cursor.ts';
import {
  type MapPlacement,
  placementIsSound,
  readFurtherExtents,
  writeFurtherExtents,
} from './grain-map.ts';
import {
  grainExpMax,
  grainExpMin,
  grainIndexLimit,
  grainsPerMarkPage,
  markPagesMax,
  sealBytes,
  strataMax,
} from './layout.ts';

/** The entry of a grain map in its basin: place and grains. */
export interface MapEntry extends MapPlacement {
  /** Index in the stratum of the map's first grain. */
  readonly firstIndex: number;
  /**
   * Generation of the map's head, or of its mark page if it has no head; 0: never written, all
   * grains are free.
   */
  readonly generation: number;
  readonly crc: number;
  /** Free grains, and the longest free run (up to 256), as of the basin's stamp: hints. */
  readonly free: number;
  readonly longestFree: number;
}

export interface StratumEntry {
  readonly grainExp: number;
  /** Committed values, archived ones included; how many are archived; the bytes of all. */
  readonly values: number;
  readonly archivedValues: number;
  readonly valueBytes: number;
  readonly allocatedGrains: number;
  /** Index after the last grain that any of its maps ever had: the next map begins there. */
  readonly endIndex: number;
  readonly maps: readonly MapEntry[];
}

export interface Basin {
  readonly strata: readonly StratumEntry[];
}

/** Bytes of the document, with room for the seal at the start. */
export function encodeBasin(basin: Basin): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(1024);
  writer.zeros(sealBytes);
  writer.u32(basin.strata.length);
  for (const stratum of basin.strata) {
    writer.u8(stratum.grainExp);
    writer.zeros(3);
    writer.u32(stratum.maps.length);
    writer.u48(stratum.values);
    writer.u48(stratum.archivedValues);
    writer.u48(stratum.valueBytes);
    writer.u48(stratum.allocatedGrains);
    writer.u48(stratum.endIndex);
    for (const map of stratum.maps) {
      writer.u48(map.firstIndex);
      writer.u32(map.grains);
      writer.u48(map.page);
      writer.u32(map.generation);
      writer.u32(map.crc);
      writer.u32(map.free);
      writer.u16(map.longestFree);
      writer.u16(map.further.length);
      writeFurtherExtents(writer, map.further);
    }
  }
  return writer.view();
}

export function decodeBasin(bytes: Uint8Array, offset: number): Basin {
  const reader = new ByteReader(bytes, 'a basin', offset, sealBytes);
  const count = reader.u32();
  if (count > strataMax) reader.fail('too many strata', strataMax, count);
  const strata = reader.list(count, () => decodeStratum(reader));
  reader.end();
  return { strata };
}

function decodeStratum(reader: ByteReader): StratumEntry {
  const grainExp = reader.u8();
  if (grainExp < grainExpMin || grainExp > grainExpMax) {
    reader.fail('an impossible grain size', `2^${grainExpMin} to 2^${grainExpMax}`, grainExp);
  }
  reader.zeros(3);
  const mapCount = reader.u32();
  const values = reader.u48();
  const archivedValues = reader.u48();
  const valueBytes = reader.u48();
  const allocatedGrains = reader.u48();
  const endIndex = reader.u48();
  const maps: MapEntry[] = [];
  let end = 0;
  for (let at = 0; at < mapCount; at++) {
    const map: MapEntry = {
      firstIndex: reader.u48(),
      grains: reader.u32(),
      page: reader.u48(),
      generation: reader.u32(),
      crc: reader.u32(),
      free: reader.u32(),
      longestFree: reader.u16(),
      further: readFurtherExtents(reader, reader.u16()),
    };
    if (map.firstIndex < end) reader.fail('grain maps overlap', end, map.firstIndex);
    if (map.grains < 1 || map.grains > markPagesMax * grainsPerMarkPage) {
      reader.fail('a grain map of an impossible size', '', map.grains);
    }
    if (!placementIsSound(map, grainExp)) reader.fail('a grain map in impossible extents');
    if (map.free > map.grains) reader.fail('more free grains than grains', map.grains, map.free);
    end = map.firstIndex + map.grains;
    maps.push(map);
  }
  if (endIndex > grainIndexLimit) reader.fail('an index beyond 2^48', grainIndexLimit, endIndex);
  if (endIndex < end) reader.fail('a grain map after the end of its stratum', endIndex, end);
  return { grainExp, values, archivedValues, valueBytes, allocatedGrains, endIndex, maps };
}

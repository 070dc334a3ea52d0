/**
 * Damage at rest changes the place that it names and nothing else, of a copy of the file.
 *
 * What a store makes of it is not asked here.
 */

import { describe, expect, it } from 'vitest';
import { Random } from '../random.ts';
import { type Damage, damaged, damagedImage, randomDamage } from './disk-damage.ts';
import { DiskImage } from './disk-image.ts';
import { restarted } from './disk-state.ts';

const sector = 512;

/** Three sectors of 1, 2 and 3. */
function threeSectors(): DiskImage {
  const editor = DiskImage.empty.edit();
  editor.resize(3 * sector);
  for (const fill of [1, 2, 3]) {
    editor.write(new Uint8Array(sector).fill(fill), (fill - 1) * sector);
  }
  return editor.image();
}

function bytesOf(image: DiskImage): Uint8Array {
  const bytes = new Uint8Array(image.length);
  image.read(bytes, 0);
  return bytes;
}

/** Ranges of bytes in which the two differ: from, to, and what the second has there first. */
function differences(one: Uint8Array, other: Uint8Array): number[][] {
  const found: number[][] = [];
  for (let at = 0; at < Math.max(one.length, other.length); at++) {
    if (one[at] === other[at]) continue;
    const last = found.at(-1);
    if (last?.[1] === at) last[1] = at + 1;
    else found.push([at, at + 1, other[at] ?? -1]);
  }
  return found;
}

describe('damage at rest', () => {
  const damages: [Damage, number[][]][] = [
    [{ kind: 'bit', byte: sector + 3, bit: 7 }, [[sector + 3, sector + 4, 130]]],
    [{ kind: 'zeros', sector: 1 }, [[sector, 2 * sector, 0]]],
    [{ kind: 'ones', sector: 2 }, [[2 * sector, 3 * sector, 255]]],
    [{ kind: 'truncated', length: sector + 1 }, [[sector + 1, 3 * sector, -1]]],
    [{ kind: 'grown', bytes: sector + 1, fill: 6 }, [[3 * sector, 4 * sector + 1, 6]]],
  ];

  it.each(damages)('%o', (damage, expected) => {
    const image = threeSectors();
    const before = bytesOf(image);
    const { durable, seen } = damaged(restarted(image), damage);
    expect(seen).toBe(durable);
    expect(differences(before, bytesOf(durable))).toEqual(expected);
    expect(differences(before, bytesOf(image))).toEqual([]);
  });

  it('is refused outside the file, and if something has not been synced', () => {
    const image = threeSectors();
    const outside = /byte 1536 of a file of 1536 bytes/;
    expect(() => damagedImage(image, { kind: 'bit', byte: 3 * sector, bit: 0 })).toThrow(outside);
    expect(() => damagedImage(image, { kind: 'zeros', sector: 3 })).toThrow(outside);
    const unsynced = [{ position: 0, bytes: new Uint8Array(sector) }];
    const rot: Damage = { kind: 'bit', byte: 0, bit: 0 };
    expect(() => damaged({ ...restarted(image), unsynced }, rot)).toThrow('at rest');
  });

  it('of a seed is the same each time, and of any kind', () => {
    const image = threeSectors();
    const kinds = new Set<string>();
    for (let seed = 1; seed <= 60; seed++) {
      const damage = randomDamage(new Random(seed), image.length);
      expect(damage).toEqual(randomDamage(new Random(seed), image.length));
      expect(differences(bytesOf(image), bytesOf(damagedImage(image, damage)))).toHaveLength(1);
      kinds.add(damage.kind);
    }
    expect(kinds.size).toBe(5);
  });
});

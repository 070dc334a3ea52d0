/**
 * The index of the block cache: the same as a Map from blocks to slots, with notes of what was
 * checked that go when the block does.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockTable } from '../../../src/store/values/block-table.ts';

interface Known {
  slot: number;
  referenced: boolean;
  readonly checked: Set<number>;
}

/** Blocks that share cells, blocks in a row, and blocks beyond 2^32. */
const block = fc.oneof(
  fc.nat(40),
  fc.nat(40).map((n) => 2 ** 32 - 20 + n),
  fc.nat(40).map((n) => n * 2 ** 34),
  fc.nat({ max: 2 ** 41 }),
);
const place = fc.nat(127);
const command = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('add' as const), block }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('remove' as const), block }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('check' as const), block, place }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('uncheck place' as const), block, place }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('uncheck' as const), block }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('reference' as const, 'unreference' as const, 'move' as const),
      block,
    }),
  },
);

function expectKnown(table: BlockTable, model: ReadonlyMap<number, Known>): void {
  expect(table.size).toBe(model.size);
  for (const [number, { slot, referenced, checked }] of model) {
    const cell = table.find(number);
    expect(table.slot(cell)).toBe(slot);
    expect(table.isReferenced(cell)).toBe(referenced);
    for (let at = 0; at < 128; at++) {
      if (table.isChecked(cell, at * 32) !== checked.has(at)) {
        expect(`place ${at} of block ${number}`).toBe('noted as it was');
      }
    }
  }
}

describe('a block table', () => {
  it('has the same content as a Map, after any changes', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 200 }), (commands) => {
        const table = new BlockTable();
        const model = new Map<number, Known>();
        for (const [at, one] of commands.entries()) {
          const known = model.get(one.block);
          const cell = table.find(one.block);
          expect(cell >= 0).toBe(known !== undefined);
          if (known === undefined) {
            if (one.kind !== 'add') continue;
            table.add(one.block, at);
            model.set(one.block, { slot: at, referenced: false, checked: new Set() });
          } else if (one.kind === 'remove') {
            table.remove(cell);
            model.delete(one.block);
          } else if (one.kind === 'check') {
            table.check(cell, one.place * 32 + (at % 32));
            known.checked.add(one.place);
          } else if (one.kind === 'uncheck place') {
            table.uncheckPlace(cell, one.place * 32);
            known.checked.delete(one.place);
          } else if (one.kind === 'uncheck') {
            table.uncheck(cell);
            known.checked.clear();
          } else if (one.kind === 'unreference') {
            table.unreference(cell);
            known.referenced = false;
          } else if (one.kind === 'reference') {
            table.reference(cell);
            known.referenced = true;
          } else if (one.kind === 'move') {
            table.moveTo(cell, at);
            known.slot = at;
          }
        }
        expectKnown(table, model);
      }),
      { numRuns: 300 },
    );
  });

  it('finds a hundred thousand blocks while as many come and go', () => {
    const table = new BlockTable();
    const count = 100_000;
    for (let number = 0; number < count; number++) table.add(number * 3, number);
    for (let number = 0; number < count; number += 2) table.remove(table.find(number * 3));
    for (let number = 0; number < count; number += 2) table.add(number * 3, number + 7);
    let wrong = 0;
    for (let number = 0; number < count; number++) {
      const cell = table.find(number * 3);
      if (cell < 0 || table.slot(cell) !== number + (number % 2 === 0 ? 7 : 0)) wrong += 1;
      if (table.find(number * 3 + 1) >= 0) wrong += 1;
    }
    expect(wrong).toBe(0);
    expect(table.size).toBe(count);
  });
});

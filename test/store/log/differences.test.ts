/** The differences between batches, while they are forgotten piece by piece. */

import { expect, it } from 'vitest';
import type { LogRecord } from '../../../src/format/log-record.ts';
import { inOneGo } from '../../../src/store/file/effects.ts';
import { Differences } from '../../../src/store/log/differences.ts';

const count = 200;

function freeing(batch: number): LogRecord {
  const operations = Array.from({ length: count }, (_, index) => ({
    operation: 'free' as const,
    ...{ basin: 0, stratum: 0, index, count: 1 },
  }));
  return { batch, operations } as unknown as LogRecord;
}

it('forgetting does not drop changes of a batch that came after a new start', () => {
  const differences = new Differences(0);
  for (const batch of [1, 2]) inOneGo(differences.add(freeing(batch)));
  const forgetting = differences.forgetUpTo(2);
  forgetting.next();
  // Batch 2 has been taken back: another one has its number.
  differences.reset(1);
  inOneGo(differences.add(freeing(2)));
  inOneGo(forgetting);
  expect(differences.floor).toBe(1);
  for (let index = 0; index < count; index++) {
    const id = { basin: 0, stratum: 0, index };
    expect(differences.firstAfter(id, 1)).toEqual({ batch: 2, kind: 'free' });
  }
});

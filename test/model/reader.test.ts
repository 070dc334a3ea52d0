/**
 * A reader beside a writer, as a model, gives nothing that is not of its batch; and it needs each of
 * its rules for that.
 */

import { expect, test } from 'vitest';
import { type ReaderRule, readerRules } from './reader.ts';
import { ReaderHistory, readerBroken } from './reader-history.ts';

const historiesHeld = 3000;
const historiesToBreak = 6000;

test(`with all rules no read is wrong in ${historiesHeld} histories`, () => {
  const told = { right: 0, gone: 0 };
  for (let seed = 1; seed <= historiesHeld; seed++) {
    const history = new ReaderHistory(seed);
    history.run();
    told.right += history.right;
    told.gone += history.gone;
  }
  // It is no way out to call everything gone.
  expect(told.right).toBeGreaterThan(told.gone);
}, 120_000);

test.each(Object.entries(readerRules))(
  'without %s a read is wrong: %s',
  (rule) => {
    for (let seed = 1; seed <= historiesToBreak; seed++) {
      if (readerBroken(seed, rule as ReaderRule) !== undefined) return;
    }
    throw new Error(`${rule} is not needed in ${historiesToBreak} histories`);
  },
  120_000,
);

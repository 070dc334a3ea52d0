/**
 * Assertions: what does not hold is a defect of varve's own and says so; what holds passes.
 */

import { expect, it } from 'vitest';
import { assert, present } from '../../src/util/assert.ts';

it('a failed assertion is VARVE_INTERNAL with its words', () => {
  const failed = expect.objectContaining({
    code: 'VARVE_INTERNAL',
    message: expect.stringContaining('the sky is up'),
  });
  expect(() => assert(false, 'the sky is up')).toThrow(failed);
  expect(() => present(undefined, 'the sky is up')).toThrow(failed);
});

it('true conditions and present values pass, falsy values too', () => {
  assert(true, 'never said');
  for (const value of [0, '', false, null]) expect(present(value, 'it')).toBe(value);
});

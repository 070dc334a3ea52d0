/**
 * The end of a loop that reads values and does nothing with them: what they add up to is looked at,
 * so that no engine can leave a read out.
 *
 * It knows nothing of what was read.
 */

/** Throws where a value was missing, whose bytes would have made the sum no number. */
export function checkSum(sum: number): void {
  if (!(sum >= 0)) throw new Error('a value was missing');
}

/**
 * Numbers that differ from one another, and from zero, in every byte: so that a field that is read
 * from a wrong place, or in a wrong order of bytes, shows. The same ones in every run.
 */

let lastByte = 0;
/** The next number of so many bytes. */
export function next(size: 1 | 2 | 4 | 6): number {
  let value = 0;
  for (let place = 0; place < size; place++) {
    lastByte = (lastByte % 250) + 1;
    value = value * 256 + lastByte;
  }
  return value;
}

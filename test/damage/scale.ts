/**
 * How much the damage tests try, and what they share in choosing it: by default every byte of what
 * is small and a sample of the rest, within some seconds.
 *
 * VARVE_DAMAGE_SCALE: 1 unless told; every stride is divided by it, so that 100 leaves out nothing.
 */

export const damageScale = Math.max(1, Number(process.env['VARVE_DAMAGE_SCALE'] ?? 1));

/** What ends a test that hangs. */
export const patience = { timeout: 60_000 * damageScale };

/** Of so many, one is tried. */
export function strideOf(stride: number): number {
  return Math.max(1, Math.ceil(stride / damageScale));
}

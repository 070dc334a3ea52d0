export type Way = 'copy' | 'in' | 'out' | 'out into own memory';
export interface CopyTask {
  readonly way: Way;
  readonly store: string;
  readonly source: string;
  readonly target: string;
}
export interface CopyAnswer {
  readonly milliseconds: number;
  readonly peakBytes: number;
}

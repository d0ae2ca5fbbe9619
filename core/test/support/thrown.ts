import { SwitchyardError } from '../../src/errors.ts';

/** The error that `run` throws; a test that expects one and gets none fails here. */
export function thrown(run: () => unknown): SwitchyardError {
  try {
    run();
  } catch (error) {
    if (error instanceof SwitchyardError) return error;
    throw error;
  }
  throw new Error('Nothing was thrown.');
}

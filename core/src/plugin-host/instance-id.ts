import { uuidV5 } from '../event/ids.ts';

/**
 * The id of a transform's instance: a UUID that stays the same over versions of the pipeline, as its state and its sealed secrets are bound to it.
 */
export function transformInstanceId(pipeline: string, node: string): string {
  return uuidV5(pipeline, `node/${node}`);
}

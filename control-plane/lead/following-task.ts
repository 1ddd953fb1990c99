// A leader's task that follows objects of its own with a reflector, whether it leads or not.
import type { Reflector, ReflectorStatus } from '#kube/reflector.ts';
import { LeaderTask } from './leader-task.ts';

export abstract class FollowingTask extends LeaderTask {
  protected abstract readonly reflector: Reflector;

  start(): void {
    this.reflector.start();
  }

  override stop(): void {
    super.stop();
    this.reflector.stop();
  }

  status(): ReflectorStatus {
    return this.reflector.status();
  }
}

// The closed lists of the service, as types. A newer service may use names that are not among them.
export type {
  ActorType,
  AuditAction,
  AuditStatus,
  DegradedReason,
  ErrorCode,
  ItemRejection,
  ListState,
  NotReadyReason,
  OrderResult,
  OrderState,
  Permission,
  RevocationMode,
  SuspensionReason,
  TokenState,
  TokenUsage,
  UpstreamTrouble,
} from '../../src/vocabulary.ts';

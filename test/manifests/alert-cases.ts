// What happens to a mesh, as series: one in which all is well, and for each alert the series that differ.

/** Series → values in promtool's notation, one a minute; '' takes a series of HEALTHY away. */
type SeriesValues = Readonly<Record<string, string>>;

export interface AlertCase {
  readonly series: SeriesValues;
  /** Other alerts that the same trouble rightly makes fire, in the order of their names. */
  readonly also?: readonly string[];
  /** Not yet firing then. */
  readonly quietAt: string;
}

const PAYMENT = 'namespace="shop",workload="payment",pod="payment-0"';
const DAY = 86_400;
/** Unix time in promtool's tests begins at 0: values are seconds that are left. */
const FOREVER = `${4000 * DAY}x30`;

const handled = (code: string) =>
  `grpc_server_handled_total{${PAYMENT},grpc_service="payment.PaymentService",grpc_method="Charge",grpc_code="${code}"}`;
const requests = (code: string) => `weft_requests_total{${PAYMENT},direction="outbound",service="shop/ledger:8080",grpc_code="${code}"}`;
const bucket = (le: string) => `weft_request_duration_seconds_bucket{${PAYMENT},direction="inbound",le="${le}"}`;
const COUNT = `weft_request_duration_seconds_count{${PAYMENT},direction="inbound"}`;
const EXPIRY = `weft_certificate_expiry_timestamp_seconds{${PAYMENT}}`;
const CONNECTED = `weft_control_plane_connected{${PAYMENT}}`;
const AGE = `weft_config_age_seconds{${PAYMENT}}`;
const REJECTED = `weft_config_rejected_resources{${PAYMENT}}`;
const SPANS = `weft_spans_dropped_total{${PAYMENT},reason="queue_full"}`;
const LINES = `weft_access_log_dropped_total{${PAYMENT}}`;
const REFLECTOR = 'pod="weft-control-plane-0",kind="GRPCRoute"';
const FAILED_REVIEWS = 'weft_injector_reviews_total{result="failed",reason="Defect"}';
const FAILED_LOADS = 'weft_node_agent_loads_total{pod="weft-node-agent-a",result="failed"}';

export const HEALTHY: SeriesValues = {
  [handled('OK')]: '0+600x30',
  [handled('NotFound')]: '0+60x30',
  [requests('OK')]: '0+600x30',
  [bucket('0.5')]: '0+600x30',
  [bucket('1')]: '0+600x30',
  [bucket('2.5')]: '0+600x30',
  [bucket('+Inf')]: '0+600x30',
  [COUNT]: '0+600x30',
  // Renewed again and again.
  [EXPIRY]: '43200+60x30',
  [CONNECTED]: '1x30',
  // Quiet for hours, which is no trouble while it is connected.
  [AGE]: '0+60x30',
  [REJECTED]: '0x30',
  [SPANS]: '0x30',
  [LINES]: '0x30',
  weft_control_plane_sidecars: '1x30',
  weft_control_plane_translation_failures: '0x30',
  weft_control_plane_oldest_unacknowledged_seconds: '1x30',
  weft_control_plane_authority_expiry_timestamp_seconds: FOREVER,
  weft_control_plane_authority_refused: '0x30',
  weft_control_plane_authority_waiting_seconds: '0x30',
  [`weft_control_plane_reflector_failing{${REFLECTOR}}`]: '0x30',
  [`weft_control_plane_reflector_silence_seconds{${REFLECTOR}}`]: '30x30',
  weft_injector_certificate_expiry_timestamp_seconds: '86400+60x30',
  weft_injector_authority_expiry_timestamp_seconds: FOREVER,
  'weft_injector_reviews_total{result="injected",reason=""}': '0+1x30',
  'weft_node_agent_loads_total{pod="weft-node-agent-a",result="loaded"}': '0+1x30',
};

export const ALERT_CASES: Readonly<Record<string, AlertCase>> = {
  WeftHighErrorRate: { series: { [handled('Unavailable')]: '0+60x30' }, quietAt: '2m' },
  WeftCallsFailing: { series: { [requests('Unavailable')]: '0+60x30' }, quietAt: '2m' },
  WeftMostCallsNotOk: { series: { [handled('PermissionDenied')]: '0+900x30' }, quietAt: '10m' },
  WeftHighLatency: {
    series: { [bucket('0.5')]: '0+300x30', [bucket('1')]: '0+300x30' },
    quietAt: '10m',
  },
  WeftCertificateExpiring: { series: { [EXPIRY]: `${2 * 3600 + 180}x30` }, quietAt: '12m' },
  WeftAuthorityExpiring: { series: { weft_control_plane_authority_expiry_timestamp_seconds: `${20 * DAY}x30` }, quietAt: '9m' },
  WeftAuthorityRefused: { series: { weft_control_plane_authority_refused: '1x30' }, quietAt: '4m' },
  WeftAuthorityWaiting: { series: { weft_control_plane_authority_waiting_seconds: '3601+60x30' }, quietAt: '4m' },
  WeftWebhookCertificateExpiring: {
    series: { weft_injector_certificate_expiry_timestamp_seconds: `${2 * 3600 + 180}x30` },
    quietAt: '12m',
  },
  WeftControlPlaneDown: {
    series: { weft_control_plane_sidecars: '', [CONNECTED]: '0x30', [AGE]: '0+60x30' },
    also: ['WeftConfigStale'],
    quietAt: '1m',
  },
  WeftSidecarsDisconnected: { series: { [CONNECTED]: '0x30', [AGE]: '60x30' }, quietAt: '4m' },
  WeftConfigStale: { series: { [CONNECTED]: '0x30' }, also: ['WeftSidecarsDisconnected'], quietAt: '4m' },
  WeftConfigUnanswered: { series: { weft_control_plane_oldest_unacknowledged_seconds: '0+60x30' }, quietAt: '1m' },
  WeftConfigRejected: { series: { [REJECTED]: '1x30' }, quietAt: '0m' },
  WeftTranslationFailing: { series: { weft_control_plane_translation_failures: '1x30' }, quietAt: '0m' },
  WeftReflectorFailing: { series: { [`weft_control_plane_reflector_failing{${REFLECTOR}}`]: '1x30' }, quietAt: '4m' },
  WeftInjectorDown: {
    series: { weft_injector_certificate_expiry_timestamp_seconds: '', weft_injector_authority_expiry_timestamp_seconds: '' },
    quietAt: '4m',
  },
  WeftInjectorFailing: { series: { [FAILED_REVIEWS]: '_x15 1x20' }, quietAt: '14m' },
  WeftCaptureFailing: { series: { [FAILED_LOADS]: '_x15 1x20' }, quietAt: '14m' },
  WeftSpansDropped: { series: { [SPANS]: '0+60x30' }, quietAt: '10m' },
  WeftAccessLogDropped: { series: { [LINES]: '0+60x30' }, quietAt: '10m' },
};

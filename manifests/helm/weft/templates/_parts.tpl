{{/* Labels of every object. The argument: root (the top), component. */}}
{{- define "weft.labels" -}}
{{ include "weft.selector" . }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: weft
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
{{- end }}

{{/* What selectors match: it never changes, because a Deployment's selector cannot. */}}
{{- define "weft.selector" -}}
app.kubernetes.io/name: weft
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* The image of all programs; the argument is the top. */}}
{{- define "weft.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- if hasPrefix "sha256:" $tag -}}
{{ printf "%s@%s" .Values.image.repository $tag }}
{{- else -}}
{{ printf "%s:%s" .Values.image.repository $tag }}
{{- end -}}
{{- end }}

{{/*
Where pods may run; the arguments: component, settings (the program's block of values).
What is empty is left out: the API server does not store it, and kubectl would find a difference each time.
*/}}
{{- define "weft.scheduling" -}}
{{- with .settings.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- $selector := include "weft.selector" . }}
{{- with .settings.topologySpreadConstraints }}
topologySpreadConstraints:
{{- range . }}
  -
    {{- toYaml . | nindent 4 }}
    {{- if not (hasKey . "labelSelector") }}
    labelSelector:
      matchLabels: {{- $selector | nindent 8 }}
    {{- end }}
{{- end }}
{{- end }}
{{- if .settings.priorityClassName }}
priorityClassName: {{ .settings.priorityClassName | quote }}
{{- end }}
{{- if .settings.affinity }}
affinity: {{- toYaml .settings.affinity | nindent 2 }}
{{- else if eq .settings.antiAffinity "required" }}
affinity:
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels: {{- include "weft.selector" . | nindent 12 }}
{{- else if eq .settings.antiAffinity "preferred" }}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels: {{- include "weft.selector" . | nindent 14 }}
{{- end }}
{{- end }}

{{/* Labels of a program's pods beside those of every object. The argument: settings. */}}
{{- define "weft.podLabels" -}}
{{- range $name, $value := .settings.podLabels }}
{{- if not (hasPrefix "app.kubernetes.io/" $name) }}
{{ $name | quote }}: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The values' own environment of a program; the argument: settings. */}}
{{- define "weft.extraEnvironment" -}}
{{- range .settings.extraEnvironment }}
{{- if not (hasPrefix "WEFT_" .name) }}
-
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Annotations of a program's pods: the values' own win. The arguments: component, settings. */}}
{{- define "weft.podAnnotations" -}}
{{- $own := .settings.podAnnotations }}
{{- $defaults := dict "kubectl.kubernetes.io/default-container" .component "prometheus.io/scrape" "true" "prometheus.io/port" "15014" "prometheus.io/path" "/metrics" }}
{{- range $name, $value := $defaults }}
{{- if not (hasKey $own $name) }}
{{ $name | quote }}: {{ $value | quote }}
{{- end }}
{{- end }}
{{- range $name, $value := $own }}
{{ $name | quote }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* The user and rights of the pods: the "restricted" Pod Security Standard. */}}
{{- define "weft.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 2102
  runAsGroup: 2102
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "weft.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* Environment that names the pod that a program runs in. */}}
{{- define "weft.podEnvironment" -}}
- name: WEFT_POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: WEFT_POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- end }}

{{/* Probes of a program; its view listens on port 15014. Ready may wait for the API server for long, alive may not. */}}
{{- define "weft.probes" -}}
readinessProbe:
  httpGet:
    path: /readyz
    port: view
  periodSeconds: 2
  timeoutSeconds: 2
livenessProbe:
  httpGet:
    path: /livez
    port: view
  initialDelaySeconds: 10
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}

{{- /* An object of k8s/, with what the values say of it. */}}
{{- define "object" }}
{{- $object := .object }}
{{- $values := .context.Values }}
{{- $_ := set $object.metadata "namespace" .context.Release.Namespace }}
{{- $_ := set $object.metadata "labels" (merge (deepCopy $values.labels) (default dict $object.metadata.labels)) }}
{{- $about := dict "object" $object "context" .context "part" (get $object.metadata.labels "app.kubernetes.io/component") }}
{{- if eq $object.kind "CronJob" }}
{{- $job := $object.spec.jobTemplate }}
{{- if $values.labels }}{{ $_ := set $job "metadata" (dict "labels" $values.labels) }}{{ end }}
{{- if eq $about.part "backup" }}
{{- $_ := set $object.metadata "name" $values.backup }}
{{- $_ := set $object.spec "schedule" $values.schedule }}
{{- end }}
{{- if eq $about.part "drill" }}{{ $_ := set $object.spec "schedule" $values.drillSchedule }}{{ end }}
{{- include "pod" (merge (dict "template" $job.spec.template "patch" "jobs") $about) }}
{{- end }}
{{- if eq $object.kind "Deployment" }}
{{- include "pod" (merge (dict "template" $object.spec.template "patch" "deployment") $about) }}
{{- end }}
{{- if eq $object.kind "Role" }}
{{- range $rule := $object.rules }}
{{- $named := list }}
{{- range $values.quiesce }}
{{- if eq (printf "%ss" (dir .)) (first $rule.resources) }}{{ $named = append $named (base .) }}{{ end }}
{{- end }}
{{- if $named }}{{ $_ := set $rule "resourceNames" $named }}{{ end }}
{{- end }}
{{- end }}
{{- range $object.subjects }}{{ $_ := set . "namespace" $.context.Release.Namespace }}{{ end }}
---
{{ toYaml $object }}
{{- end }}

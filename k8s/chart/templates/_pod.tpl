{{- /* A pod's template: the account, the image, what components add as kustomize adds it, the volume, further settings. */}}
{{- define "pod" }}
{{- $values := .context.Values }}
{{- $spec := .template.spec }}
{{- $container := first $spec.containers }}
{{- $works := has .part (list "backup" "operator") }}
{{- $_ := set .template.metadata "labels" (merge (deepCopy $values.labels) .template.metadata.labels) }}
{{- $_ := set $spec.securityContext "runAsUser" (int $values.runAs) }}
{{- $_ := set $spec.securityContext "runAsGroup" (int $values.runAs) }}
{{- $_ := set $container "image" $values.image }}
{{- if $values.resources }}{{ $_ := set $container "resources" $values.resources }}{{ end }}
{{- $env := default list $container.env }}
{{- $mounts := $container.volumeMounts }}
{{- $volumes := $spec.volumes }}
{{- range $values.components }}
{{- $patch := fromYaml ($.context.Files.Get (printf "components/%s/%s.yaml" . $.patch)) }}
{{- $added := $patch.spec }}
{{- if eq $.patch "jobs" }}{{ $added = $patch.spec.jobTemplate.spec }}{{ end }}
{{- $added = $added.template.spec }}
{{- $env = concat $env (default list (first $added.containers).env) }}
{{- $mounts = concat $mounts (default list (first $added.containers).volumeMounts) }}
{{- $volumes = concat $volumes (default list $added.volumes) }}
{{- end }}
{{- if and $values.files.claim $works }}
{{- $mount := dict "name" $values.files.claim "mountPath" $values.files.mountPath }}
{{- if and (eq .part "backup") (not $values.files.writable) }}{{ $_ := set $mount "readOnly" true }}{{ end }}
{{- $mounts = append $mounts $mount }}
{{- $volumes = append $volumes (dict "name" $values.files.claim "persistentVolumeClaim" (dict "claimName" $values.files.claim)) }}
{{- end }}
{{- if and $values.affinity $works }}{{ $_ := set $spec "affinity" $values.affinity }}{{ end }}
{{- if and $values.quiesce $works }}
{{- $_ := set $spec "automountServiceAccountToken" true }}
{{- $env = append $env (dict "name" "BKP_QUIESCE" "value" (join "," $values.quiesce)) }}
{{- end }}
{{- $env = concat $env $values.env }}
{{- if $env }}{{ $_ := set $container "env" $env }}{{ end }}
{{- $_ := set $container "volumeMounts" (concat $mounts $values.volumeMounts) }}
{{- $_ := set $spec "volumes" (concat $volumes $values.volumes) }}
{{- end }}

# Accuracy and loss against step for both runs of the demo; `folder` is set by the caller.
set datafile separator comma
set key autotitle columnhead noenhanced
set style line 1 lc rgb '#0072B2' lw 2 pt 7 ps 0.8
set style line 2 lc rgb '#D55E00' lw 2 pt 5 ps 0.8
relu = folder.'/relu.csv'
softmax = folder.'/softmax.csv'
do for [form in 'png svg'] {
    if (form eq 'png') { set terminal pngcairo size 1100,420 font 'DejaVu Sans,11' } \
    else { set terminal svg size 1100,420 font 'DejaVu Sans,12' }
    set output folder.'/curves.'.form
    set multiplot layout 1,2 title 'Fashion-MNIST: ReLU/L and softmax attention'
    set grid lc rgb '#dddddd'
    set xlabel 'step'
    set ylabel 'accuracy'
    set key bottom right
    plot relu using 1:4 with linespoints ls 1 title 'ReLU/L, test', \
         softmax using 1:4 with linespoints ls 2 title 'softmax, test', \
         relu using 1:3 with lines ls 1 lw 0.7 dt 2 title 'ReLU/L, training', \
         softmax using 1:3 with lines ls 2 lw 0.7 dt 2 title 'softmax, training'
    set ylabel 'training loss'
    set key top right
    plot relu using 1:2 with lines ls 1 title 'ReLU/L', softmax using 1:2 with lines ls 2 title 'softmax'
    unset multiplot
    unset output
}
